"""Latency and bus bandwidth against size, with the machine's limit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smddp.tools.bench.report import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write a picture of all rows; the limit of each collective is the dashed line of the same colour.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    latency, bandwidth = figure.subplots(1, 2)
    for colour, name in enumerate(dict.fromkeys(row.collective for row in rows)):
        own = [row for row in rows if row.collective == name]
        sizes = [row.size for row in own]
        style = {"color": f"C{colour}"}
        latency.plot(sizes, [1e6 * row.time_s for row in own], marker="o", label=name, **style)
        bandwidth.plot(sizes, [row.busbw / 1e9 for row in own], marker="o", label=name, **style)
        limited = [(row.size, row.limit_s, row.busbw * row.time_s) for row in own if row.limit_s]
        if limited:
            at, limits, bus_bytes = zip(*limited, strict=True)
            latency.plot(at, [1e6 * limit for limit in limits], linestyle="--", **style)
            rates = [moved / limit / 1e9 for moved, limit in zip(bus_bytes, limits, strict=True)]
            bandwidth.plot(at, rates, linestyle="--", **style)
    _label(latency, "time of a call, µs")
    _label(bandwidth, "bus bandwidth, GB/s")
    figure.suptitle(f"{title} (dashed: limit of the machine)")
    figure.savefig(path, dpi=120)


def _label(axes: Axes, quantity: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("size, bytes")
    axes.set_ylabel(quantity)
    axes.grid(alpha=0.3)
    axes.legend()

"""A topology as a picture: GPUs above, NUMA nodes, rails below, lines from each GPU to its nearest rails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smddp.tools.topo.text import alike, speed_text
from smddp.topology import HostTopology, Topology
from smddp.topology.files import format_cpus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_GPU_Y, _NODE_Y, _RAIL_Y = 2.0, 1.0, 0.0
_BOX = 0.6
_MOST_PICTURES = 8
_SMALL = 7.0  # points
#: Points at which one letter is about as wide as a column's unit.
_FITTING = 65.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A NUMA node and what hangs on it; the last column is of what hangs nowhere known."""

    left: float
    width: float
    label: str
    rails: tuple[int, ...]
    gpus: tuple[int, ...]

    def centre(self, index: int, count: int) -> float:
        """Of the `index`-th of `count` things that share the column's width."""
        return self.left + self.width * (index + 0.5) / count


def draw(path: Path, topology: Topology) -> None:
    """Write an SVG; hosts that are alike are drawn once, and at most eight different ones.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    pictures = list(alike(topology).items())[:_MOST_PICTURES]
    widest = max(sum(column.width for column in _columns(host)) for host, _ in pictures)
    figure = Figure(figsize=(max(6.0, 0.62 * widest), 3.2 * len(pictures)), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (host, places) in zip(figure.subplots(len(pictures), squeeze=False)[:, 0], pictures, strict=True):
        ranks = format_cpus(sorted(rank for place in places for rank in topology.ranks_on(place)))
        kind = f"{host.instance_type}, " if host.instance_type else ""
        axes.set_title(f"{kind}host {format_cpus(places)}, rank {ranks}", fontsize=10)
        _draw_host(axes, host)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _columns(host: HostTopology) -> list[_Column]:
    columns = []
    left = 0.0
    for node in (*range(len(host.numa_nodes)), -1):
        rails = tuple(index for index, rail in enumerate(host.rails) if rail.numa == node)
        gpus = tuple(index for index, gpu in enumerate(host.gpus) if gpu.numa == node)
        if node < 0 and not rails and not gpus:
            continue
        label = "NUMA node unknown"
        if node >= 0:
            label = f"NUMA node {node}\nprocessors {format_cpus(host.numa_nodes[node].cpus) or 'none'}"
        width = float(max(len(rails), len(gpus), 4))
        columns.append(_Column(left=left, width=width, label=label, rails=rails, gpus=gpus))
        left += width + 0.5
    return columns


def _draw_host(axes: Axes, host: HostTopology) -> None:
    gpu_at, rail_at = {}, {}
    for column in _columns(host):
        _box(axes, column.left, _NODE_Y, column.width, column.label, "#e8eef7")
        for place, index in enumerate(column.gpus):
            gpu_at[index] = column.centre(place, len(column.gpus))
            _box(axes, gpu_at[index] - 0.4, _GPU_Y, 0.8, f"GPU\n{index}", "#dff0d8")
        for place, index in enumerate(column.rails):
            rail_at[index] = column.centre(place, len(column.rails))
            _box(axes, rail_at[index] - 0.4, _RAIL_Y, 0.8, host.rails[index].name, "#fcf3d0")
            speed = speed_text(host.rails[index]).replace(" ", "\n")
            axes.text(rail_at[index], _RAIL_Y - 0.05, speed, ha="center", va="top", fontsize=_SMALL)
    for index, gpu in enumerate(host.gpus):
        for rail in gpu.rails:
            axes.plot(
                [gpu_at[index], rail_at[rail]], [_GPU_Y, _RAIL_Y + _BOX], color="#777777", linewidth=0.8, zorder=1
            )
    axes.set_ylim(_RAIL_Y - 0.5, _GPU_Y + _BOX + 0.1)
    axes.set_xlim(-0.3, max((column.left + column.width for column in _columns(host)), default=1.0) + 0.3)
    axes.axis("off")


def _box(axes: Axes, left: float, bottom: float, width: float, label: str, colour: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left, bottom), width, _BOX, facecolor=colour, edgecolor="#444444", zorder=2))
    longest = max(map(len, label.split("\n")))
    size = min(_SMALL, _FITTING * width / longest)
    axes.text(left + width / 2, bottom + _BOX / 2, label, ha="center", va="center", fontsize=size, zorder=3)

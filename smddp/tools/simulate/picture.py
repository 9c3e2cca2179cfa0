"""A likely step as a timeline, and how far its efficiency may be from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smddp.simulation.spread import percentiles
from smddp.simulation.step import Job, Step
from smddp.tools.simulate.text import headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_COMPUTE, _WAITING, _WAY = "#4c78a8", "#bab0ac", "#e45756"


def draw(path: Path, job: Job, likely: Step, steps: Sequence[Step]) -> None:
    """Write an SVG.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasSVG(figure)
    timeline, spread = figure.subplots(1, 2, width_ratios=(3, 1))
    _draw_step(timeline, likely)
    _draw_spread(spread, [step.efficiency for step in steps])
    figure.suptitle(f"simulated: {headline(job)}", fontsize=11)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_step(axes: Axes, step: Step) -> None:
    """Compute above; below it each bucket, from when its gradients are there to the end of its all_reduce."""
    late = 1e3 * step.waiting
    axes.broken_barh([(0, late)], (-0.4, 0.8), facecolor=_WAITING, label="waiting for the slowest rank")
    axes.broken_barh([(late, 1e3 * step.compute)], (-0.4, 0.8), facecolor=_COMPUTE, label="compute")
    for row, (ready, end) in enumerate(zip(step.ready, step.ends, strict=True), start=1):
        bar = (late + 1e3 * ready, 1e3 * (end - ready))
        label = "bucket: from its last gradient to its sum" if row == 1 else ""
        axes.broken_barh([bar], (row - 0.4, 0.8), facecolor=_WAY, label=label)
    axes.axvline(1e3 * step.seconds, color="black", linewidth=0.8, linestyle="--")
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_xlabel("ms, every parameter at its likely value")
    axes.legend(fontsize=8, loc="lower left")


def _draw_spread(axes: Axes, efficiencies: Sequence[float]) -> None:
    low, median, high = percentiles(efficiencies)
    axes.axvspan(low, high, color=_COMPUTE, alpha=0.2, label=f"5-95 %: {low:.3f} to {high:.3f}")
    axes.axvline(median, color=_COMPUTE, label=f"50 %: {median:.3f}")
    ordered = sorted(efficiencies)
    axes.plot(ordered, [(place + 0.5) / len(ordered) for place in range(len(ordered))], color="black")
    axes.set_xlabel("scaling efficiency")
    axes.set_ylabel("part of the points")
    axes.legend(fontsize=8)

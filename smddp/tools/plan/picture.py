"""The steps of a plan as a timeline: a row for each rank, with its messages and its work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smddp import _core
from smddp.tools.plan.answer import Answer
from smddp.tools.plan.text import duration, size_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_MOST_ROWS = 32
_COLOURS = {"send": "#4c78a8", "recv": "#72b7b2", "reduce": "#e45756", "copy": "#f2cf5b", "native": "#b279a2"}
#: Of a row: messages out above, in the middle what comes in, below the work.
_PLACES = {"send": 0.62, "recv": 0.36, "reduce": 0.1, "copy": 0.1, "native": 0.1}
_HEIGHT = 0.22


def draw(path: Path, answer: Answer) -> None:
    """Write an SVG of at most 32 ranks.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    ranks = answer.chosen.ranks[:_MOST_ROWS]
    figure = Figure(figsize=(11, 1.6 + 0.55 * len(ranks)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    scale, unit = (1e3, "ms") if answer.chosen.seconds >= 1e-3 else (1e6, "us")
    for row, rank in enumerate(ranks):
        steps = [step for step in answer.chosen.steps if step.rank == rank]
        _draw_rank(axes, len(ranks) - 1 - row, steps, scale)
    axes.set_yticks([len(ranks) - 0.5 - row for row in range(len(ranks))], [f"rank {rank}" for rank in ranks])
    axes.set_xlabel(f"simulated time, {unit}")
    axes.set_xlim(0, answer.chosen.seconds * scale)
    axes.set_ylim(0, len(ranks))
    axes.set_title(_title(answer, len(ranks)), fontsize=10)
    _add_legend(axes)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_rank(axes: Axes, bottom: float, steps: Sequence[_core.SimulatedStep], scale: float) -> None:
    for kind, colour in _COLOURS.items():
        bars = [(step.begin * scale, (step.end - step.begin) * scale) for step in steps if step.kind == kind]
        place = (bottom + _PLACES[kind], _HEIGHT)
        # Messages overlap: many at once are darker.
        axes.broken_barh(bars, place, facecolor=colour, alpha=0.5 if kind in ("send", "recv") else 1.0)
    axes.axhline(bottom, color="#cccccc", linewidth=0.5)


def _title(answer: Answer, rows: int) -> str:
    world = len(answer.network.topology.host_of_rank)
    call = answer.call
    shown = "" if rows == world else f" ({rows} of {world} ranks)"
    return (
        f"{call.collective} of {size_text(call.nbytes)} by {answer.rows[0].algorithm}: "
        f"simulated {duration(answer.chosen.seconds)}{shown}"
    )


def _add_legend(axes: Axes) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=kind) for kind, colour in _COLOURS.items()]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)

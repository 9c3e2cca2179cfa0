"""One row for each collective and size: on the terminal, as JSON and as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from smddp.tools.bench.compare import Comparison, Figures
from smddp.tools.bench.limits import Limits

__all__ = [
    "PeerRow",
    "Row",
    "describe_limits",
    "header",
    "line",
    "peer_header",
    "peer_line",
    "peer_rows",
    "write_csv",
    "write_json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured size. Times are seconds on the slowest rank; rates are bytes per second.

    `time_s` is one of many calls back to back, and algbw, busbw, processor time (of all ranks) and efficiency belong
    to it; p50 and p99 are of calls that each begin after a barrier. `wrong` counts elements over all ranks, None when
    they were not compared. Efficiency is limit_s / time_s; both are None for one rank and for several hosts.
    """

    collective: str
    size: int
    count: int
    dtype: str
    op: str
    time_s: float
    algbw: float
    busbw: float
    wrong: int | None
    p50_s: float
    p99_s: float
    processor_s: float
    limit_s: float | None
    efficiency: float | None


_COLUMNS = (
    ("size", 11, "B"),
    ("count", 11, "elements"),
    ("type", 9, ""),
    ("op", 8, ""),
    ("time", 10, "us"),
    ("algbw", 8, "GB/s"),
    ("busbw", 8, "GB/s"),
    ("#wrong", 7, ""),
    ("p50", 10, "us"),
    ("p99", 10, "us"),
    ("cpu", 10, "us"),
    ("limit", 10, "us"),
    ("eff", 5, "%"),
)


def header(collective: str) -> str:
    """The lines above the rows of one collective."""
    names = "".join(name.rjust(width) for name, width, _ in _COLUMNS)
    units = "".join((f"({unit})" if unit else "").rjust(width) for _, width, unit in _COLUMNS)
    return f"# {collective}: time, algbw, busbw, cpu, eff: back to back; p50, p99: after a barrier\n{names}\n{units}"


def line(row: Row) -> str:
    """One row for the terminal."""
    reduces = row.collective in ("all_reduce", "reduce_scatter", "reduce")
    cells = (
        str(row.size),
        str(row.count),
        row.dtype,
        row.op if reduces else "none",
        _us(row.time_s),
        f"{row.algbw / 1e9:.2f}",
        f"{row.busbw / 1e9:.2f}",
        "N/A" if row.wrong is None else str(row.wrong),
        _us(row.p50_s),
        _us(row.p99_s),
        _us(row.processor_s),
        "N/A" if row.limit_s is None else _us(row.limit_s),
        "N/A" if row.efficiency is None else f"{100 * row.efficiency:.0f}",
    )
    return "".join(cell.rjust(width) for cell, (_, width, _) in zip(cells, _COLUMNS, strict=True))


def describe_limits(limits: Limits) -> str:
    """The probed limits for people."""
    lines = [f"# limits of this machine under {limits.ranks} ranks at once"]
    lines.append(f"#   flag hand-off {1e9 * limits.flag_s:.0f} ns, futex wake {_us(limits.futex_s)} us")
    for size, seconds in limits.pass_s.items():
        rate = 2 * limits.ranks * size / 1e9
        lines.append(
            f"#   {size:>10} B: pass in place {rate / seconds:6.1f} GB/s, non-temporal copy "
            f"{rate / limits.copy_s[size]:6.1f} GB/s (read and written, all ranks)"
        )
    return "\n".join(lines)


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.2f}" if seconds < 1e-4 else f"{1e6 * seconds:.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One library at one size, beside others; medians over the rounds, seconds on the slowest rank."""

    collective: str
    size: int
    dtype: str
    op: str
    library: str
    p50_s: float
    p99_s: float
    time_s: float
    processor_s: float


_PEER_WIDTH = 33


def peer_header(collective: str, titles: Sequence[str]) -> str:
    """The lines above the comparisons of one collective."""
    names = "".join(title.rjust(_PEER_WIDTH) for title in titles)
    return f"# {collective}, us: after a barrier / back to back (p99, cpu)\n{'size':>11}{names}{'ratio':>8}"


def peer_line(comparison: Comparison) -> str:
    """One size for the terminal; the ratio is ours to the best of the others, after a barrier."""
    cells = "".join(_peer_cell(figures).rjust(_PEER_WIDTH) for figures in comparison.figures.values())
    ratio = comparison.ratio()
    return f"{comparison.size:>11}{cells}{'-' if ratio is None else f'{ratio:.2f}':>8}"


def _peer_cell(figures: Figures | None) -> str:
    if figures is None:
        return "-"
    return (
        f"{1e6 * figures.p50_s:.1f} / {1e6 * figures.time_s:.1f} "
        f"({1e6 * figures.p99_s:.0f}, {1e6 * figures.processor_s:.0f})"
    )


def peer_rows(comparisons: Sequence[Comparison], dtype: str, op: str) -> list[PeerRow]:
    """All figures as rows, for files."""
    return [
        PeerRow(
            collective=comparison.collective,
            size=comparison.size,
            dtype=dtype,
            op=op,
            library=title,
            p50_s=figures.p50_s,
            p99_s=figures.p99_s,
            time_s=figures.time_s,
            processor_s=figures.processor_s,
        )
        for comparison in comparisons
        for title, figures in comparison.figures.items()
        if figures is not None
    ]


def write_json(path: Path, facts: Mapping[str, object], rows: Sequence[Row] | Sequence[PeerRow]) -> None:
    """Facts (machine, limits) and rows; seconds and bytes per second."""
    data = {**facts, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Row] | Sequence[PeerRow]) -> None:
    """The rows, at least one, with a line of names; seconds and bytes per second."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)

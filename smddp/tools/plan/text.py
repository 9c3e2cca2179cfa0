"""An answer for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smddp.tools.plan.answer import Answer, Row

__all__ = ["answer_dict", "answer_lines", "duration", "size_text"]


def answer_lines(answer: Answer, *, explain: bool) -> list[str]:
    """The choice, and with `explain` all others."""
    lines = [_headline(answer)]
    rows = answer.rows if explain else answer.rows[:1]
    width = max(len(row.algorithm) for row in rows)
    lines.append(f"  {'':<{width}}  {'predicted':>10}  {'simulated':>10}")
    for index, row in enumerate(rows):
        mark = ">" if index == 0 else " "
        lines.append(f"{mark} {row.algorithm:<{width}}  {_row_text(row)}{'  chosen' if index == 0 else ''}".rstrip())
    lines += _facts(answer)
    return lines


def answer_dict(answer: Answer) -> dict[str, Any]:
    """The same for JSON."""
    topology, call = answer.network.topology, answer.call
    return {
        "collective": call.collective,
        "bytes": call.nbytes,
        "dtype": call.dtype,
        "op": call.op,
        "order": answer.network.order,
        "partials": answer.network.partials,
        "hosts": len(topology.hosts),
        "ranks": len(topology.host_of_rank),
        "chosen": answer.rows[0].algorithm,
        "algorithms": [
            {
                "algorithm": row.algorithm,
                "predicted_s": row.predicted,
                "simulated_s": row.simulated,
                "excluded": row.excluded or None,
            }
            for row in answer.rows
        ],
    }


def duration(seconds: float) -> str:
    """Three digits, with a fitting unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1e3 else f"{seconds * factor:.0f} {unit}"
    return f"{seconds * 1e6:.2g} us"


def size_text(nbytes: float) -> str:
    """Bytes, with a fitting unit."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= factor:
            return f"{nbytes / factor:.4g} {unit}"
    return f"{nbytes:.0f} bytes"


def _headline(answer: Answer) -> str:
    call, topology = answer.call, answer.network.topology
    counts = sorted({len(topology.ranks_on(host)) for host in range(len(topology.hosts))})
    ranks = _count(counts[0], "rank") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} ranks"
    order = answer.network.order
    if answer.network.partials != "native":
        order += f", partials {answer.network.partials}"
    slowest = min(host.gbps for host in topology.hosts)
    rate = f", {slowest:g} Gbit/s each" if slowest else ", rails of unknown speed"
    return (
        f"{call.collective} of {size_text(call.nbytes)} {call.dtype}, {call.op}, order {order}: "
        f"{_count(len(topology.hosts), 'host')} of {ranks}{rate}"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _row_text(row: Row) -> str:
    if row.excluded:
        return f"{'-':>10}  {'-':>10}  out: {row.excluded}"
    return f"{_or_dash(row.predicted):>10}  {_or_dash(row.simulated):>10}"


def _or_dash(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _facts(answer: Answer) -> Iterator[str]:
    chosen, ranks = answer.chosen, len(answer.chosen.ranks)
    if chosen.messages:
        each = chosen.messages / ranks
        yield f"The busiest rank sends {size_text(chosen.sent_bytes)}; {each:.4g} messages for each rank."
    told = "" if answer.network.costs is None else " with the costs given"
    yield f"Predicted by the planner's cost model{told}; simulated: not measured (docs/simulator.md)."

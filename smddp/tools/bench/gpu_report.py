"""What a GPU's memory allows, and how rows of GPUs look beside those of another library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from smddp.tools.bench.collectives import traffic
from smddp.tools.bench.report import Row, header, line

__all__ = ["GpuLimits", "GpuRow", "describe_gpu_limits", "gpu_header", "gpu_line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """What the memory of the GPUs allows.

    `ranks`: how many ranks each GPU has; `copy_bytes`: how much each rank copies at once with the others;
    `copy_rate`: bytes read plus written per second of a GPU, all of its ranks together.
    """

    ranks: tuple[int, ...]
    copy_bytes: int
    copy_rate: float

    def seconds(self, collective: str, size: int) -> float | None:
        """The least time that moving the bytes takes, where all ranks share one GPU and there are at least two.

        None elsewhere: alone nothing has to be moved, and between GPUs their links are the limit.
        """
        if len(self.ranks) > 1 or self.ranks[0] < 2:
            return None
        return traffic(collective, self.ranks[0]) * size / self.copy_rate

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow(Row):
    """One library at one measured size; times are medians over the rounds, where libraries take turns."""

    library: str


def describe_gpu_limits(limits: GpuLimits) -> str:
    """The limits for people."""
    most, total = max(limits.ranks), sum(limits.ranks)
    rate = f"{limits.copy_rate / 1e9:.1f} GB/s"
    size = f"{limits.copy_bytes >> 20} MiB"
    lines = [
        f"# limits of the device under {total} ranks at once",
        f"#   copy of {size} from the GPU's memory to itself: {rate} (read and written, {_ranks(most)} on a GPU)",
    ]
    if limits.seconds("all_reduce", 1) is not None:
        lines.append(
            f"#   limit of an all_reduce of n bytes by the {most} ranks of one GPU: 2 * {most} * n bytes at that rate"
        )
    else:
        why = "one rank has nothing to move" if total == 1 else f"links between {len(limits.ranks)} GPUs are it"
        lines.append(f"#   no limit by memory traffic: {why}")
    return "\n".join(lines)


def _ranks(count: int) -> str:
    return "1 rank" if count == 1 else f"{count} ranks"


#: Of each other library: its name and time, how much of it was wrong, and our time divided by its.
_WIDTHS = (12, 7, 8)


def gpu_header(collective: str, others: Sequence[str]) -> str:
    """The lines above the rows of one collective."""
    title, names, units = header(collective).splitlines()
    for other in others:
        names += _cells(other, "#wrong", "ratio")
        units += _cells("(us)", "", "")
    return "\n".join([title, names, units])


def gpu_line(own: GpuRow, others: Sequence[GpuRow | None]) -> str:
    """Our row for the terminal, and beside it what other libraries took; None is one that cannot do it."""
    text = line(own)
    for other in others:
        if other is None:
            text += _cells("-", "-", "-")
        else:
            wrong = "N/A" if other.wrong is None else str(other.wrong)
            text += _cells(f"{1e6 * other.time_s:.2f}", wrong, f"{own.time_s / other.time_s:.2f}")
    return text


def _cells(*texts: str) -> str:
    return "".join(text.rjust(width) for text, width in zip(texts, _WIDTHS, strict=True))

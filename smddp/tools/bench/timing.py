"""Timing of calls that all ranks make together; the slowest rank counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from smddp.tools.bench.peer import time_back_to_back, time_calls

__all__ = ["Loop", "Ranks", "slowest_calls", "time_loop"]


class Ranks(Protocol):
    """What timing needs of the ranks that take part; a Communicator has it."""

    def barrier(self) -> object:
        """Wait for all ranks."""

    def all_reduce(self, array: Any, op: str = ..., /) -> object:
        """Reduce an array over all ranks, in place; by default to the sum."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Calls one after the other: seconds a call, and processor seconds of all ranks a call."""

    seconds: float
    processor_seconds: float


def slowest_calls(
    ranks: Ranks,
    calls: Sequence[Callable[[], object]],
    count: int,
    before: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float64]:
    """Seconds of `count` calls, each begun after a barrier, on the rank where it took longest.

    Args:
        ranks: all that take part; each calls this.
        calls: used in turns, so that their buffers rotate.
        count: how many calls.
        before: what to do before the barrier of call number i.
    """
    local = time_calls(ranks.barrier, calls, count, before or _nothing, _nothing)
    times = np.array(local)
    ranks.all_reduce(times, "max")
    return times


def _nothing(*_: int) -> None:
    pass


def time_loop(
    ranks: Ranks,
    calls: Sequence[Callable[[], object]],
    count: int,
    finish: Callable[[], object] = _nothing,
) -> Loop:
    """Time `count` calls back to back, and what `finish` waits for after them; every rank calls this."""
    local = time_back_to_back(ranks.barrier, calls, count, finish)
    seconds, used = np.array(local[:1]), np.array(local[1:])
    ranks.all_reduce(seconds, "max")
    ranks.all_reduce(used)
    return Loop(float(seconds[0]), float(used[0]))

"""Timing of calls that all ranks make together; the slowest rank counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smddp.collectives import Communicator
from smddp.tools.bench.peer import time_back_to_back, time_calls

__all__ = ["Loop", "slowest_calls", "time_loop"]


@dataclass(frozen=True, slots=True)
class Loop:
    """Calls one after the other: seconds a call, and processor seconds of all ranks a call."""

    seconds: float
    processor_seconds: float


def slowest_calls(
    communicator: Communicator,
    calls: Sequence[Callable[[], object]],
    count: int,
    before: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float64]:
    """Seconds of `count` calls, each begun after a barrier, on the rank where it took longest.

    Args:
        communicator: all ranks that take part; each calls this.
        calls: used in turns, so that their buffers rotate.
        count: how many calls.
        before: what to do before the barrier of call number i.
    """
    local = time_calls(communicator.barrier, calls, count, before or _nothing, _nothing)
    times = np.array(local)
    communicator.all_reduce(times, "max")
    return times


def _nothing(_: int) -> None:
    pass


def time_loop(communicator: Communicator, calls: Sequence[Callable[[], object]], count: int) -> Loop:
    """Time `count` calls back to back; every rank calls this."""
    local = time_back_to_back(communicator.barrier, calls, count)
    seconds, used = np.array(local[:1]), np.array(local[1:])
    communicator.all_reduce(seconds, "max")
    communicator.all_reduce(used)
    return Loop(float(seconds[0]), float(used[0]))

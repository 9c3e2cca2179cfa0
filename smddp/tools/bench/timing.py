"""Timing of calls that all ranks make together; the slowest rank counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smddp.runtime import Communicator

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
    times = np.zeros(count)
    for i in range(count):
        if before is not None:
            before(i)
        call = calls[i % len(calls)]
        communicator.barrier()
        begin = time.perf_counter()
        call()
        times[i] = time.perf_counter() - begin
    communicator.all_reduce(times, "max")
    return times


def time_loop(communicator: Communicator, calls: Sequence[Callable[[], object]], count: int) -> Loop:
    """Time `count` calls back to back; every rank calls this."""
    communicator.barrier()
    processor, begin = time.process_time(), time.perf_counter()
    for i in range(count):
        calls[i % len(calls)]()
    seconds = np.array([(time.perf_counter() - begin) / count])
    used = np.array([(time.process_time() - processor) / count])
    communicator.all_reduce(seconds, "max")
    communicator.all_reduce(used)
    return Loop(float(seconds[0]), float(used[0]))

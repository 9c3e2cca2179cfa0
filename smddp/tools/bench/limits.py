"""What the machine itself can do: measured right before the collectives, with loops that do nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from smddp import _core
from smddp.collectives import Communicator
from smddp.tools.bench.collectives import traffic
from smddp.tools.bench.options import buffers_for
from smddp.tools.bench.timing import slowest_calls

__all__ = ["Limits", "probe_limits"]

#: The sizes at which memory is probed, for all sizes up to twice as large; below the first one a collective is
#: limited by the flag.
_SIZES = tuple(1 << shift for shift in range(16, 27))
_CALLS = 7
_ALIGNMENT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one machine under `ranks` ranks.

    `flag_s`: one way of a flag between two processors, 0 when rank 0 may use one only; `futex_s`: waking a sleeping
    thread. `pass_s` and `copy_s`: seconds in which every rank at once passes over n bytes in place (reads and writes
    each), or copies n bytes with stores that bypass the cache, by n.
    """

    ranks: int
    flag_s: float
    futex_s: float
    pass_s: dict[int, float]
    copy_s: dict[int, float]

    def seconds(self, collective: str, size: int) -> float:
        """The least time that the collective can take on this machine.

        What it must read and write at the rate of the pass in place (docs/performance.md), and at least one
        hand-over of a flag. Inside one host, between at least two ranks.
        """
        near = [probed for probed in self.pass_s if probed <= size]
        if not near:
            return self.flag_s
        probed = max(near)
        bytes_per_second = 2 * self.ranks * probed / self.pass_s[probed]
        return max(self.flag_s, traffic(collective, self.ranks) * size / bytes_per_second)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def probe_limits(communicator: Communicator, largest: int) -> Limits:
    """Measure; every rank calls it. `largest`: no buffer is larger than this many bytes (or the smallest probe)."""
    # One pair of threads at a time: the other ranks sleep in the collective meanwhile.
    times = np.zeros(2)
    if communicator.rank == 0:
        hand_off = _core.probe_hand_off()
        # On one processor the flag waits for the scheduler, which says nothing about ranks on others.
        times[:] = hand_off.flag_seconds if hand_off.two_processors else 0, hand_off.futex_seconds
    communicator.broadcast(times)
    pass_s, copy_s = {}, {}
    for size in (probed for probed in _SIZES if probed <= max(largest, _SIZES[0])):
        buffers = _Buffers(size)
        pass_s[size] = _median(communicator, [partial(_core.pass_in_place, a, size) for a in buffers.addresses])
        pairs = zip(buffers.addresses, buffers.addresses[1:] + buffers.addresses[:1], strict=True)
        copy_s[size] = _median(communicator, [partial(_core.copy_non_temporal, a, b, size) for a, b in pairs])
    return Limits(
        ranks=communicator.size, flag_s=float(times[0]), futex_s=float(times[1]), pass_s=pass_s, copy_s=copy_s
    )


class _Buffers:
    """At least two buffers of `size` bytes that take turns."""

    def __init__(self, size: int) -> None:
        count = max(2, buffers_for(size))
        self._memory = np.ones(count * size + _ALIGNMENT, np.uint8)
        begin = -(-self._memory.ctypes.data // _ALIGNMENT) * _ALIGNMENT
        self.addresses = [begin + i * size for i in range(count)]


def _median(communicator: Communicator, calls: list[Callable[[], None]]) -> float:
    return float(np.median(slowest_calls(communicator, calls, max(_CALLS, len(calls)))))

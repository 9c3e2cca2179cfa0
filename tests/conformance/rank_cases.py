"""What one process does through the public interface; started by test_processes.py."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

import smddp

from support.oracle import DTYPES, FLOATS, OPS, Array, Placement, is_defined, place, random_values, reduced

#: NumPy alone has no bfloat16.
PUBLIC_DTYPES = tuple(dtype for dtype in DTYPES if dtype != "bfloat16")
#: The last one takes several of the default chunks of 256 KiB.
COUNTS = (0, 1, 37, 1000, 100_003)


class Checker:
    """Calls collectives on one rank and compares the results with the oracle's, bit for bit."""

    def __init__(self, communicator: smddp.Communicator, placement: Placement, seed: int) -> None:
        self.communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size
        self._placement = placement
        self._seed = seed

    def brought(self, dtype: str, count: int, rank: int) -> Array:
        """What a rank brings."""
        return random_values(dtype, count, np.random.default_rng((self._seed, rank, count)))

    def all(self, dtype: str, count: int) -> list[Array]:
        """What all ranks bring."""
        return [self.brought(dtype, count, rank) for rank in range(self.size)]

    def all_reduce(self, dtype: str, op: str, count: int, async_op: bool) -> None:
        array = self.brought(dtype, count, self.rank)
        self._finish(self.communicator.all_reduce(array, op, async_op=async_op), async_op)
        equal(array, reduced(dtype, op, self.all(dtype, count), self._placement))

    def reduce(self, dtype: str, op: str, count: int, async_op: bool) -> None:
        root = count % self.size
        array = self.brought(dtype, count, self.rank)
        before = array.copy()
        self._finish(self.communicator.reduce(array, root, op, async_op=async_op), async_op)
        at_root = self.rank == root
        equal(array, reduced(dtype, op, self.all(dtype, count), self._placement) if at_root else before)

    def reduce_scatter(self, dtype: str, op: str, count: int, async_op: bool) -> None:
        total = count * self.size
        output = np.empty(count, dtype)
        source = self.brought(dtype, total, self.rank)
        self._finish(self.communicator.reduce_scatter(output, source, op, async_op=async_op), async_op)
        whole = reduced(dtype, op, self.all(dtype, total), self._placement)
        equal(output, whole[self.rank * count : (self.rank + 1) * count])

    def moves(self, dtype: str, count: int, async_op: bool) -> None:
        """Collectives that do not compute."""
        root = (count + 1) % self.size
        array = self.brought(dtype, count, self.rank)
        self._finish(self.communicator.broadcast(array, root, async_op=async_op), async_op)
        equal(array, self.brought(dtype, count, root))

        gathered = np.empty(count * self.size, dtype)
        source = self.brought(dtype, count, self.rank)
        self._finish(self.communicator.all_gather(gathered, source, async_op=async_op), async_op)
        equal(gathered, np.concatenate(self.all(dtype, count)))

        exchanged = np.empty(count * self.size, dtype)
        source = self.brought(dtype, count * self.size, self.rank)
        self._finish(self.communicator.all_to_all(exchanged, source, async_op=async_op), async_op)
        own = slice(self.rank * count, (self.rank + 1) * count)
        equal(exchanged, np.concatenate([sent[own] for sent in self.all(dtype, count * self.size)]))

        root = (count + 2) % self.size
        at_root = self.rank == root
        gathered = np.empty(count * self.size, dtype)
        work = self.communicator.gather(gathered if at_root else None, source[:count], root, async_op=async_op)
        self._finish(work, async_op)
        if at_root:
            equal(gathered, np.concatenate([sent[:count] for sent in self.all(dtype, count * self.size)]))

        scattered = np.empty(count, dtype)
        work = self.communicator.scatter(scattered, source if at_root else None, root, async_op=async_op)
        self._finish(work, async_op)
        equal(scattered, self.brought(dtype, count * self.size, root)[own])

        self._finish(self.communicator.barrier(async_op=async_op), async_op)

    @staticmethod
    def _finish(work: smddp.Work | None, async_op: bool) -> None:
        assert (work is not None) == async_op
        if work is not None:
            assert work.wait(timeout=20)
            assert work.is_completed()


def equal(got: Array, expected: Array) -> None:
    assert got.dtype == expected.dtype
    assert got.tobytes() == expected.tobytes(), f"{got} is not {expected}"


def registered_memory(seed: str) -> None:
    """Made before the ranks meet, after, and used after they have parted: always the oracle's bits."""
    generator = np.random.default_rng((int(seed), 1))
    counts = [int(count) for count in generator.integers(20_000, 300_000, size=12)]
    early = smddp.empty_registered(counts[0], "float32")
    for life in range(2):
        communicator = smddp.init(timeout=20)
        placement = place(["0"] * communicator.size)
        checker = Checker(communicator, placement, int(seed))
        kept = [early]
        for number, count in enumerate(counts):
            array = early if number == 0 else smddp.empty_registered(count, "float32")
            kept.append(array)
            array[:] = checker.brought("float32", count, communicator.rank)
            # Every third time one rank has ordinary memory.
            plain = number % 3 == 2 and communicator.rank == life
            used = array.copy() if plain else array
            work = communicator.all_reduce(used, "average", async_op=number % 2 == 1)
            if work is not None:
                work.wait()
            equal(used, reduced("float32", "average", checker.all("float32", count), placement))
        smddp.shutdown()
        early[:] = kept[1][: counts[0]]
    print("passed")


def all_collectives(seed: str, hosts: str, transport: str) -> None:
    """`hosts`: ranks of each host, like "2,1"."""
    communicator = smddp.init(timeout=20)
    names = [str(host) for host, ranks in enumerate(hosts.split(",")) for _ in range(int(ranks))]
    assert (communicator.size, communicator.transport) == (len(names), transport)
    checker = Checker(communicator, place(names), int(seed))
    kinds = [(dtype, op) for dtype in PUBLIC_DTYPES for op in OPS if is_defined(op, dtype)]
    for number, (dtype, op) in enumerate(kinds):
        for collective in (checker.all_reduce, checker.reduce, checker.reduce_scatter):
            collective(dtype, op, 37, number % 2 == 0)
    for count in COUNTS:
        for async_op in (False, True):
            for dtype in (*FLOATS[:3], "int8"):
                for collective in (checker.all_reduce, checker.reduce, checker.reduce_scatter):
                    collective(dtype, "average", count, async_op)
                checker.moves(dtype, count, async_op)
    smddp.shutdown()
    assert not smddp.is_initialized()
    print("passed")


def signals_are_kept() -> None:
    """Loading and using a transport changes no signal's handler."""
    before = caught_signals()
    communicator = smddp.init(timeout=20)
    array = np.full(3, communicator.rank + 1.0)
    communicator.all_reduce(array)
    assert array.tolist() == [3.0] * 3
    assert caught_signals() == before
    smddp.shutdown()
    print("passed")


def caught_signals() -> set[signal.Signals]:
    """As the kernel knows them: Python knows only those it set itself. Those of real time are the C library's own."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (mask,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return {number for number in signal.Signals if number < signal.SIGRTMIN and mask & 1 << number - 1}

"""What one rank does in the tests on many hosts. Ranks are forked, so nothing here is imported late."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from conformance.cases import COLLECTIVES, Case, Values, buffers_of, cases_of, order_cases, submit
from conformance.plays import IN_FLIGHT, run_many_at_once, run_one_by_one

import smddp

from support.netlab.inside import bytes_sent
from support.oracle import place

__all__ = ["conformance", "digests", "memory", "sums", "volume"]

#: Deadline of each operation.
SECONDS = 60
COUNT = 10007


def conformance(seed: str, counts: str, transport: str, most: str) -> None:
    """The cases of the conformance suite one by one, then some of them at once.

    Args:
        seed: of values and choices.
        counts: ranks of each host, like "2,1".
        transport: that there must be.
        most: cases of each collective, drawn with the seed; "0" for all there are.
    """
    world = smddp.init(timeout=SECONDS)
    ranks = [int(count) for count in counts.split(",")]
    assert (world.size, world.transport) == (sum(ranks), transport)
    placement = place([str(host) for host, count in enumerate(ranks) for _ in range(count)])
    values = Values(world.size, int(seed))
    cases = list(_drawn(world.size, int(seed), int(most)))
    for case in cases:
        run_one_by_one(world._native, values.plays([case], placement), values)
    random.Random(int(seed)).shuffle(cases)
    run_many_at_once(world._native, values.plays(cases[: 2 * IN_FLIGHT], placement), values)
    smddp.shutdown()
    print(f"{len(cases)} cases passed")


def _drawn(world: int, seed: int, most: int) -> Iterator[Case]:
    draw = random.Random(seed)
    for collective in COLLECTIVES:
        cases = cases_of(collective, world)
        yield from draw.sample(cases, most) if 0 < most < len(cases) else cases


def digests(seed: str) -> None:
    """Print a hash of what this rank gets, by dtype."""
    world = smddp.init(timeout=SECONDS)
    values = Values(world.size, int(seed))
    for dtype in ("float64", "float32", "int32", "int64"):
        digest = hashlib.sha256()
        for case in order_cases(dtype, COUNT):
            buffers = buffers_of(case, values, world.rank)
            submit(world._native, case, buffers).wait()
            digest.update(buffers.target.tobytes())
        print(dtype, digest.hexdigest())
    smddp.shutdown()


def sums(steps: str) -> None:
    """All_reduce 8 MiB so many times, and check every element; print a line for each time."""
    world = smddp.init(timeout=SECONDS)
    own = np.arange(1 << 20, dtype=np.float64)
    for step in range(1, int(steps) + 1):
        array = own + world.rank * step
        world.all_reduce(array, "sum")
        expected = world.size * own + step * sum(range(world.size))
        np.testing.assert_array_equal(array, expected)
        print(f"step {step}", flush=True)
    smddp.shutdown()


def volume(nbytes: str, times: str) -> None:
    """All_reduce a float32 array of so many bytes; print the bytes that left this host each time."""
    world = smddp.init(timeout=SECONDS)
    array = np.empty(int(nbytes) // 4, np.float32)
    sent = []
    for number in range(int(times)):
        array[:] = np.arange(len(array)) % 1000 + world.rank + number
        world.barrier()
        before = bytes_sent()
        world.barrier()
        world.all_reduce(array, "sum")
        world.barrier()
        sent.append(bytes_sent() - before)
        world.barrier()
        np.testing.assert_array_equal(array[:2], world.size * (np.arange(2) + number) + sum(range(world.size)))
    smddp.shutdown()
    print(sent)


def memory() -> None:
    """Print how many bytes of its own this process has more, when it has exchanged something with every rank."""
    before = _private_bytes()
    world = smddp.init(timeout=SECONDS)
    given = np.arange(world.size * 100, dtype=np.float32)
    taken = np.empty_like(given)
    for _ in range(3):
        world.all_to_all(taken, given)
        world.all_reduce(given)
    print(_private_bytes() - before)
    smddp.shutdown()


def _private_bytes() -> int:
    rows = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(1024 * int(row.split()[1]) for row in rows if row.startswith("Private_"))

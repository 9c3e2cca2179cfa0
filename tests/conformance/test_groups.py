"""Several groups in one process: used in any order, from any thread, or never."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from conformance.cases import Case, Play, Values, buffers_of, cases_of, submit
from conformance.worlds import FABRICS, World

from smddp import _core

SIZE = 4
GROUPS = 6
PLAYS = 12
LEAVE_GRACE = timedelta(seconds=20)

Groups = list[list[_core.Communicator]]  # by rank


@pytest.fixture(params=FABRICS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(FABRICS[request.param], SIZE)
    yield world
    world.close()


def groups_of(world: World) -> Groups:
    return [[world.communicator(rank, f"group {i}") for i in range(GROUPS)] for rank in range(SIZE)]


def plays_of(world: World, values: Values, seed: int) -> list[Play]:
    cases = [case for kind in ("all_reduce", "all_gather", "reduce_scatter") for case in cases_of(kind, SIZE)]
    return values.plays(random.Random(seed).sample(cases, PLAYS), world.placement)


def play(communicator: _core.Communicator, plays: list[Play], values: Values) -> None:
    for each in plays:
        buffers = buffers_of(each.case, values, communicator.rank)
        submit(communicator, each.case, buffers).wait()
        each.check(buffers, communicator.rank)


def test_ranks_use_them_in_different_orders(world: World, seed: int) -> None:
    values = Values(SIZE, seed)
    groups = groups_of(world)
    each = values.plays([Case(collective="all_reduce", count=5003, synchronous=False)], world.placement)[0]

    def body(communicator: _core.Communicator) -> None:
        rank = communicator.rank
        order = random.Random(seed + rank).sample(groups[rank], GROUPS)
        started = []
        for _ in range(PLAYS):
            for group in order:
                buffers = buffers_of(each.case, values, rank)
                started.append((submit(group, each.case, buffers), buffers))
        for work, buffers in started:
            work.wait()
            each.check(buffers, rank)

    world.run(body)


def test_threads_use_one_each(world: World, seed: int) -> None:
    values = Values(SIZE, seed)
    groups = groups_of(world)
    plays = plays_of(world, values, seed)

    def body(communicator: _core.Communicator) -> None:
        with ThreadPoolExecutor(GROUPS) as threads:
            list(threads.map(lambda group: play(group, plays, values), groups[communicator.rank]))

    world.run(body)


def test_one_is_never_used(world: World, seed: int) -> None:
    values = Values(SIZE, seed)
    plays = plays_of(world, values, seed)
    unused = groups_of(world)
    world.run(lambda communicator: play(communicator, plays, values))
    assert {group.transport for of_rank in unused for group in of_rank} == {"unconnected"}


def test_some_ranks_leave_one_that_others_still_use(world: World, seed: int) -> None:
    """A rank that leaves has finished what it submitted; the others get their results."""
    values = Values(SIZE, seed)
    groups = groups_of(world)
    plays = plays_of(world, values, seed)

    def body(communicator: _core.Communicator) -> None:
        rank = communicator.rank
        for group in groups[rank]:
            started = []
            for each in plays:
                buffers = buffers_of(each.case, values, rank)
                started.append((each, buffers, submit(group, each.case, buffers)))
            group.leave(LEAVE_GRACE)
            for each, buffers, work in started:
                work.wait()
                each.check(buffers, rank)

    world.run(body)


def test_idle_members_hold_up_nobody_who_leaves(world: World, seed: int) -> None:
    """Who leaves waits until what he sent has arrived, and not for the next time that the others look, in a second."""
    values = Values(SIZE, seed)
    groups = groups_of(world)
    plays = values.plays([Case(collective="all_reduce", count=5003)], world.placement)

    def body(communicator: _core.Communicator) -> None:
        for group in groups[communicator.rank]:
            play(group, plays, values)

    world.run(body)
    taken = []
    for group in groups[0]:
        begin = time.monotonic()
        group.leave(LEAVE_GRACE)
        taken.append(time.monotonic() - begin)
    assert statistics.median(taken) < 0.25, taken


def test_groups_add_no_threads(world: World, seed: int) -> None:
    values = Values(SIZE, seed)
    plays = plays_of(world, values, seed)

    def use(groups: Groups) -> None:
        def body(communicator: _core.Communicator) -> None:
            for group in groups[communicator.rank]:
                play(group, plays, values)

        world.run(body)

    use([[communicator] for communicator in world.communicators])
    before = len(list(Path("/proc/self/task").iterdir()))
    groups = groups_of(world)
    use(groups)
    until = time.monotonic() + 20
    while len(list(Path("/proc/self/task").iterdir())) > before and time.monotonic() < until:
        time.sleep(0.01)  # threads that connected groups are about to end
    assert len(list(Path("/proc/self/task").iterdir())) <= before

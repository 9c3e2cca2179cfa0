"""Every collective x dtype x operation x size x manner of calling, over every fabric and world, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from conformance.cases import COLLECTIVES, Play, Values, buffers_of, cases_of, submit
from conformance.conftest import Worlds
from conformance.worlds import FABRICS, WORLD_SIZES

from smddp import _core

#: Calls that a rank has under way at once.
IN_FLIGHT = 40


def run_one_by_one(communicator: _core.Communicator, plays: Sequence[Play], values: Values) -> None:
    rank = communicator.rank
    for play in plays:
        buffers = buffers_of(play.case, values, rank)
        work = submit(communicator, play.case, buffers)
        assert work.wait()
        assert work.is_completed()
        play.check(buffers, rank)


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("size", WORLD_SIZES)
@pytest.mark.parametrize("fabric", FABRICS)
def test_results(fabric: str, size: int, collective: str, worlds: Worlds, seed: int) -> None:
    world = worlds.get(fabric, size)
    values = Values(size, seed)
    plays = values.plays(cases_of(collective, size), world.placement)
    world.run(lambda communicator: run_one_by_one(communicator, plays, values))


def run_many_at_once(communicator: _core.Communicator, plays: Sequence[Play], values: Values) -> None:
    rank = communicator.rank
    for first in range(0, len(plays), IN_FLIGHT):
        started = []
        for play in plays[first : first + IN_FLIGHT]:
            buffers = buffers_of(play.case, values, rank)
            started.append((play, buffers, submit(communicator, play.case, buffers)))
        for play, buffers, work in reversed(started):
            assert work.wait()
            play.check(buffers, rank)


@pytest.mark.parametrize("size", WORLD_SIZES)
@pytest.mark.parametrize("fabric", FABRICS)
def test_many_at_once(fabric: str, size: int, worlds: Worlds, seed: int) -> None:
    world = worlds.get(fabric, size)
    values = Values(size, seed)
    cases = [case for collective in COLLECTIVES for case in cases_of(collective, size)]
    random.Random(seed).shuffle(cases)
    plays = values.plays(cases[: 4 * IN_FLIGHT], world.placement)
    world.run(lambda communicator: run_many_at_once(communicator, plays, values))

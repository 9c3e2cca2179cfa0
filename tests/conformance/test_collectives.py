"""Every collective x dtype x operation x size x manner of calling, over every fabric and world, bit for bit."""

from __future__ import annotations

import random

import pytest
from conformance.cases import COLLECTIVES, Values, cases_of
from conformance.conftest import Worlds
from conformance.plays import IN_FLIGHT, run_many_at_once, run_one_by_one
from conformance.worlds import FABRICS, WORLD_SIZES


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("size", WORLD_SIZES)
@pytest.mark.parametrize("fabric", FABRICS)
def test_results(fabric: str, size: int, collective: str, worlds: Worlds, seed: int) -> None:
    world = worlds.get(fabric, size)
    values = Values(size, seed)
    plays = values.plays(cases_of(collective, size), world.placement)
    world.run(lambda communicator: run_one_by_one(communicator, plays, values))


@pytest.mark.parametrize("size", WORLD_SIZES)
@pytest.mark.parametrize("fabric", FABRICS)
def test_many_at_once(fabric: str, size: int, worlds: Worlds, seed: int) -> None:
    world = worlds.get(fabric, size)
    values = Values(size, seed)
    cases = [case for collective in COLLECTIVES for case in cases_of(collective, size)]
    random.Random(seed).shuffle(cases)
    plays = values.plays(cases[: 4 * IN_FLIGHT], world.placement)
    world.run(lambda communicator: run_many_at_once(communicator, plays, values))

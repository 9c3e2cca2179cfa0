"""Ranks that call different things: everybody learns who called what, nobody hangs, nobody gets wrong data."""

from __future__ import annotations

import socket
from itertools import product

import pytest
from integration.faults.cases.mismatch import NUMPY
from integration.faults.checks import LINKS, assert_nothing_left, assert_raised, last_joined, select

from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.mismatch"


def check_disagreement(world: World, odd: int, *, torch: bool) -> None:
    """All ranks of the world end with the mismatch of rank `odd` and some other rank."""
    with world:
        ranks = world.join()
        begun = last_joined(ranks)
        for rank in ranks:
            message = assert_raised(rank, "SMDDPMismatchError", torch=torch, since=begun)
            # Several hosts may find different pairs at the same moment; each tells its own.
            sides = {side for side in range(world.size) if f"rank {side} ({socket.gethostname()}" in message}
            assert odd in sides, f"rank {odd} differs, and rank {rank.rank} raised {message}"
            assert len(sides) == 2, message
            assert "without an error" not in rank.stdout, f"rank {rank.rank} got wrong data"
        assert_nothing_left(world)


@pytest.mark.parametrize(
    ("link", "name"),
    select(product(LINKS, NUMPY), lambda case: case[0] == "shm" or case[1] in ("count", "broadcast", "barrier")),
)
def test_other_call(template: Template, link: str, name: str) -> None:
    odd = list(NUMPY).index(name) % 4
    world = World(4, f"{CASES}:numpy", name, str(odd), starter=template, **LINKS[link]._asdict())
    check_disagreement(world, odd, torch=False)


@pytest.mark.parametrize(
    ("link", "collective", "odd"),
    select(product(LINKS, ["broadcast", "reduce", "gather", "scatter"], range(4)), lambda case: case[2] == 3),
)
def test_other_root(template: Template, link: str, collective: str, odd: int) -> None:
    case = f"{CASES}:root"
    world = World(4, case, collective, str(odd), starter=template, **LINKS[link]._asdict())
    check_disagreement(world, odd, torch=False)


@pytest.mark.parametrize(
    ("link", "name"), select(product(LINKS, ["count", "dtype"]), lambda case: case[0] in ("shm", "2+2"))
)
def test_other_call_through_torch(torch_template: Template, link: str, name: str) -> None:
    world = World(4, f"{CASES}:torch", name, "2", starter=torch_template, **LINKS[link]._asdict())
    check_disagreement(world, 2, torch=True)


def test_the_group_is_over_after_an_error(torch_template: Template) -> None:
    with World(4, f"{CASES}:terminal", "1", starter=torch_template) as world:
        for rank in world.join():
            seconds, message, destroyed = rank.stdout.splitlines()[-3:]
            assert float(seconds.split()[1]) < 5
            assert message.startswith(f"SMDDPMismatchError: rank {rank.rank} (")
            assert destroyed == "destroyed"
            assert (rank.returncode, rank.stderr) == (0, "")
        assert_nothing_left(world)


def test_a_failed_future_can_be_asked_again(torch_template: Template) -> None:
    with World(2, f"{CASES}:failed_future", "1", starter=torch_template) as world:
        for rank in world.join():
            assert rank.stdout.splitlines()[-1].startswith(f"SMDDPMismatchError: rank {rank.rank} (")
            assert (rank.returncode, rank.stderr) == (0, "")
        assert_nothing_left(world)

"""Ranks that leave in the middle, each in its own way."""

from __future__ import annotations

from itertools import product

import pytest
from integration.faults.checks import LINKS, assert_nothing_left, assert_raised, last_joined, select

from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.training"
#: How a rank ends, and its exit code.
ENDINGS = {"exception": 1, "exit 3": 3, "exit 0": 0, "_exit 4": 4}
#: What the others are told of the exception.
PARTING_WORDS = ': KeyError: "an error of the user\'s own"'


def check_leaving(world: World, gone: int, ending: str, *, torch: bool) -> None:
    """Rank `gone` ends as it likes with its own exit code; the others raise and name it."""
    with world:
        ranks = world.join()
        left = last_joined(ranks)  # 40 small operations later, to be exact
        for rank in ranks:
            if rank.rank == gone:
                assert rank.returncode == ENDINGS[ending]
                assert ("an error of the user's own" in rank.stderr) == (ending == "exception")
                continue
            message = assert_raised(rank, "SMDDPPeerLostError", torch=torch, since=left)
            assert f"rank {gone} (" in message
            assert ("died" if ending.startswith("_exit") else "left the group after") in message
            assert message.endswith(PARTING_WORDS) == (ending == "exception"), message
            assert "all_reduce #" in message
        assert_nothing_left(world)


@pytest.mark.parametrize(
    ("link", "ending"),
    select(product(LINKS, ENDINGS), lambda case: case[0] in ("shm", "3+1") or case[1] in ("exit 0", "_exit 4")),
)
def test_left_in_the_middle(template: Template, link: str, ending: str) -> None:
    case = f"{CASES}:until_step"
    world = World(4, case, "30", "3", "40", ending, starter=template, **LINKS[link]._asdict())
    check_leaving(world, 3, ending, torch=False)


@pytest.mark.parametrize("ending", ENDINGS)
def test_left_in_the_middle_through_torch(torch_template: Template, ending: str) -> None:
    # Rank 0 serves torch's store.
    world = World(4, f"{CASES}:torch_until_step", "30", "0", "40", ending, starter=torch_template)
    check_leaving(world, 0, ending, torch=True)

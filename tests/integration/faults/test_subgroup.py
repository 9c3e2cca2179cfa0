"""Errors in a group that is a part of the world."""

from __future__ import annotations

import socket

import pytest
from integration.faults.checks import assert_raised, last_joined

from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.subgroup"


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("die", "SMDDPPeerLostError"), ("leave", "SMDDPPeerLostError"), ("disagree", "SMDDPMismatchError")],
)
def test_ranks_have_their_global_numbers(torch_template: Template, ending: str, kind: str) -> None:
    with World(4, f"{CASES}:leave", ending, starter=torch_template) as world:
        ranks = world.join()
        message = assert_raised(ranks[1], kind, torch=True, since=last_joined(ranks))
        assert f"rank 3 ({socket.gethostname()}, pid {world.pid(3)})" in message
        assert [ranks[0].returncode, ranks[2].returncode] == [0, 0]


def test_roots_have_their_global_numbers(torch_template: Template) -> None:
    with World(4, f"{CASES}:roots", starter=torch_template) as world:
        ranks = world.join()
        for rank in (1, 3):
            message = assert_raised(ranks[rank], "SMDDPMismatchError", torch=True)
            assert "root 1)" in message
            assert "root 3)" in message


def test_who_does_not_come_has_its_global_number(torch_template: Template) -> None:
    with World(4, f"{CASES}:absent", "3", starter=torch_template) as world:
        message = assert_raised(world.join([1])[0], "SMDDPTimeoutError", torch=True)
        assert "rank 3" in message
        assert "rank 0" not in message

"""Ranks that do not come: the deadline's error names them."""

from __future__ import annotations

import signal
import socket
from itertools import product
from pathlib import Path

import pytest
from integration.faults.checks import LINKS, assert_nothing_left, assert_raised, select

from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.stopped"
TIMEOUT = 5.0


def check_stopped(world: World, stopped: int, *, torch: bool) -> None:
    """Stop a rank: the others warn after a second and give up after the timeout; it finds out when it goes on."""
    others = [rank for rank in range(world.size) if rank != stopped]
    name = f"rank {stopped} ({socket.gethostname()}, pid "
    with world:
        world.wait_for("step 50")
        begun = world.signal(stopped, signal.SIGSTOP)
        for rank in world.join(others):
            kind = "SMDDPTimeoutError"
            message = assert_raised(rank, kind, torch=torch)
            assert name in message
            assert "all_reduce #" in message
            others_named = [other for other in others if f"rank {other} (" in message.partition("missing")[2]]
            assert not others_named, message
            assert TIMEOUT <= rank.ended - begun < TIMEOUT + 10
            warnings = [line for line in rank.stderr.splitlines() if line.startswith("smddp: WARN")]
            assert len(warnings) == 1, warnings
            assert name in warnings[0]
            assert "all_reduce #" in warnings[0]
        world.signal(stopped, signal.SIGCONT)
        (late,) = world.join([stopped])
        assert late.returncode == 1
        assert "raised SMDDP" in late.stdout
        assert_nothing_left(world)


@pytest.mark.parametrize("link", select([("shm",), ("3+1",), ("tcp",)], lambda case: case != ("3+1",)))
def test_stopped(template: Template, link: str) -> None:
    env = {**LINKS[link].env, "SMDDP_SLOW_WARNING": "1"}
    world = World(4, f"{CASES}:loop", "numpy", str(TIMEOUT), starter=template, hosts=LINKS[link].hosts, env=env)
    check_stopped(world, 3, torch=False)


def test_stopped_through_torch(torch_template: Template) -> None:
    env = {"SMDDP_SLOW_WARNING": "1"}
    world = World(4, f"{CASES}:loop", "torch", str(TIMEOUT), starter=torch_template, env=env)
    check_stopped(world, 2, torch=True)


def test_stopped_and_killed(template: Template) -> None:
    # A stopped process cannot do anything about its death either.
    with World(4, f"{CASES}:loop", "numpy", "30", starter=template) as world:
        world.wait_for("step 50")
        world.signal(1, signal.SIGSTOP)
        killed = world.signal(1, signal.SIGKILL)
        for rank in world.join([0, 2, 3]):
            assert "rank 1 (" in assert_raised(rank, "SMDDPPeerLostError", torch=False, since=killed)
        assert_nothing_left(world)


@pytest.mark.parametrize(
    ("link", "absent"),
    select(product(LINKS, [(3,), (1, 2)]), lambda case: case[0] == "shm" or case == ("tcp", (3,))),
)
def test_never_started(template: Template, link: str, absent: tuple[int, ...]) -> None:
    case = f"{CASES}:join_only"
    with World(4, case, "3", starter=template, absent=absent, **LINKS[link]._asdict()) as world:
        for rank in world.join():
            message = assert_raised(rank, "SMDDPTimeoutError", torch=False)
            named = [other for other in range(4) if f"rank {other}" in message]
            assert named == list(absent), message
        assert_nothing_left(world)


def test_rank_0_never_started(template: Template) -> None:
    # It serves the store, so the others cannot know who else is there.
    with World(4, f"{CASES}:join_only", "3", starter=template, absent=[0]) as world:
        for rank in world.join():
            assert "rank 0" in assert_raised(rank, "SMDDPTimeoutError", torch=False)


def test_never_started_through_torch(torch_template: Template, tmp_path: Path) -> None:
    world = World(4, f"{CASES}:join_torch_by_file", "5", str(tmp_path / "store"), starter=torch_template, absent=[3])
    with world:
        for rank in world.join():
            message = assert_raised(rank, "SMDDPTimeoutError", torch=True)
            assert [other for other in range(4) if f"rank {other}" in message] == [3], message
        assert_nothing_left(world)


def test_dies_before_the_others_meet(template: Template) -> None:
    # Rank 2 dies between its start and its arrival; nobody knows its pid yet, so the deadline finds it.
    with World(4, f"{CASES}:join_only", "5", starter=template, absent=[1]) as world:
        world.wait_for("started")
        world.signal(2, signal.SIGKILL)
        for rank in world.join([0, 3]):
            message = assert_raised(rank, "SMDDPTimeoutError", torch=False)
            assert "rank 1" in message
        assert_nothing_left(world)


def test_a_waiting_rank_can_be_interrupted(template: Template) -> None:
    with World(4, f"{CASES}:wait_for_nobody", starter=template) as world:
        world.wait_for("joined")
        interrupted = [world.signal(rank, signal.SIGINT) for rank in range(4)]
        for rank in world.join():
            assert rank.last_line == "KeyboardInterrupt"
            assert rank.ended - interrupted[rank.rank] < 5
        assert_nothing_left(world)

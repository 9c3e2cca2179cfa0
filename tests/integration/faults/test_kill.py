"""Ranks that die by SIGKILL at random moments of a training."""

from __future__ import annotations

import random
import re
import signal
import socket
import time
from itertools import product
from pathlib import Path

import pytest
from integration.faults.checks import LINKS, assert_nothing_left, assert_raised, select

from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.training"
SEED = random.SystemRandom().randrange(1 << 32)


def kill_one(world: World, rng: random.Random) -> None:
    """Kill a random rank at a random moment of a running training, and check what the others make of it."""
    victim = rng.randrange(world.size)
    with world:
        world.wait_for(f"step {rng.randrange(1, 20)}")
        time.sleep(rng.uniform(0, 0.02))  # the random moment
        killed = world.signal(victim, signal.SIGKILL)
        ranks = world.join()
        for rank in ranks:
            if rank.rank == victim:
                assert rank.returncode == -signal.SIGKILL
                continue
            message = assert_raised(rank, "SMDDPPeerLostError", torch="torch" in world.case, since=killed)
            assert f"rank {victim} ({socket.gethostname()}, pid {world.pid(victim)}) died" in message
            assert re.search(r"\b(all_reduce|broadcast|barrier) #\d+", message), message
        assert_nothing_left(world)


@pytest.mark.parametrize(
    ("workers", "number"), select(product(["0", "2"], range(20)), lambda case: case[1] < 2, "repeat")
)
def test_killed_in_training(torch_template: Template, workers: str, number: int) -> None:
    rng = random.Random(f"{SEED} {workers} {number}")
    print(f"seed {SEED}")
    kill_one(World(4, f"{CASES}:torch_ddp", "30", workers, starter=torch_template), rng)


@pytest.mark.parametrize(("link", "number"), select(product(LINKS, range(5)), lambda case: case[1] < 1, "repeat"))
def test_killed_without_torch(template: Template, link: str, number: int) -> None:
    rng = random.Random(f"{SEED} {link} {number}")
    print(f"seed {SEED}")
    kill_one(World(4, f"{CASES}:numpy_loop", "30", starter=template, **LINKS[link]._asdict()), rng)


@pytest.mark.parametrize("number", range(4))
def test_killed_on_registered_memory(template: Template, number: int) -> None:
    rng = random.Random(f"{SEED} registered {number}")
    print(f"seed {SEED}")
    kill_one(World(4, f"{CASES}:registered_loop", "30", starter=template), rng)


@pytest.mark.parametrize("link", LINKS)
def test_killed_while_leaving(template: Template, link: str, tmp_path: Path) -> None:
    case = "integration.faults.cases.stopped:leave_slowly"
    go = tmp_path / "go"
    how = LINKS[link]._replace(env=LINKS[link].env | {"SMDDP_LEAVE_GRACE": "60"})
    with World(4, case, str(go), starter=template, **how._asdict()) as world:
        world.wait_for("joined")  # also on those whom rank 3 has left behind
        world.wait_for("leaving", ranks=[3])
        killed = world.signal(3, signal.SIGKILL)
        go.touch()
        for rank in world.join([0, 1, 2]):
            assert "rank 3 (" in assert_raised(rank, "SMDDPPeerLostError", torch=False, since=killed)
        assert_nothing_left(world)


@pytest.mark.parametrize(("link", "number"), select(product(LINKS, range(10)), lambda case: case[1] < 2, "repeat"))
def test_killed_while_joining(template: Template, link: str, number: int) -> None:
    rng = random.Random(f"{SEED} joining {link} {number}")
    print(f"seed {SEED}")
    victim = rng.randrange(1, 4)
    case = "integration.faults.cases.stopped:join_and_loop"
    with World(4, case, "4", starter=template, **LINKS[link]._asdict()) as world:
        world.wait_for("started")
        time.sleep(rng.uniform(0, 0.05))  # the random moment
        world.signal(victim, signal.SIGKILL)
        for rank in world.join([rank for rank in range(4) if rank != victim]):
            # Before the ranks have met nobody watches the others, so the deadline may be what finds it.
            kind = "SMDDPPeerLostError" if "PeerLost" in rank.last_line else "SMDDPTimeoutError"
            assert f"rank {victim}" in assert_raised(rank, kind, torch=False)
        assert_nothing_left(world)

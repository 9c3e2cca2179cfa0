"""Wrong arguments, wrong moments, wrong environments: one clear error for the caller, and no harm to others."""

from __future__ import annotations

import signal
import sys

import pytest
from integration.faults.checks import LINKS, assert_nothing_left, assert_raised

from support.jobs import run_job
from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.misuse"


def check_fine(world: World) -> None:
    with world:
        for rank in world.join():
            assert rank.stdout.endswith("fine\n")
            assert (rank.returncode, rank.stderr) == (0, "")
        assert_nothing_left(world)


@pytest.mark.parametrize("case", ["numpy_arguments", "states", "forked"])
@pytest.mark.parametrize("link", ["shm", "tcp"])
def test_misuse(template: Template, link: str, case: str) -> None:
    check_fine(World(4, f"{CASES}:{case}", starter=template, **LINKS[link]._asdict()))


@pytest.mark.parametrize("case", ["torch_arguments", "forked_through_torch"])
def test_misuse_through_torch(torch_template: Template, case: str) -> None:
    check_fine(World(4, f"{CASES}:{case}", starter=torch_template))


@pytest.mark.parametrize("link", ["shm", "3+1", "tcp"])
def test_a_forked_child_does_not_hide_its_parents_death(template: Template, link: str) -> None:
    case = f"{CASES}:with_a_child_that_sleeps"
    with World(4, case, starter=template, **LINKS[link]._asdict()) as world:
        world.wait_for("child", [1])
        world.wait_for("step")
        killed = world.signal(1, signal.SIGKILL)
        for rank in world.join([0, 2, 3]):
            message = assert_raised(rank, "SMDDPPeerLostError", torch=False, since=killed)
            assert f"pid {world.pid(1)}) died" in message


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"SMDDP_TIMEOUT": "abc"}, ["SMDDP_TIMEOUT=abc"]),
        ({"SMDDP_TIMEOUT": "-1"}, ["SMDDP_TIMEOUT=-1"]),
        ({"SMDDP_TIMEOUT": "nan"}, ["SMDDP_TIMEOUT=nan"]),
        ({"SMDDP_TRANSPORT": "foo"}, ["SMDDP_TRANSPORT=foo", "tcp"]),
        ({"SMDDP_CHUNK_BYTES": "5"}, ["SMDDP_CHUNK_BYTES=5", "4KiB"]),
        ({"SMDDP_STORE_PORT": "many"}, ["SMDDP_STORE_PORT=many"]),
        ({"SMDDP_STORE_PORT": "70000", "RANK": "0", "WORLD_SIZE": "2"}, ["SMDDP_STORE_PORT=70000"]),
        ({"SMDDP_DEBUG": "loud"}, ["SMDDP_DEBUG=loud", "INFO"]),
        ({"SMDDP_LISTEN_ADDRESS": "nowhere"}, ["SMDDP_LISTEN_ADDRESS=nowhere"]),
        ({"RANK": "7", "WORLD_SIZE": "4"}, ["RANK", "7"]),
        ({"RANK": "1"}, ["WORLD_SIZE"]),
        ({"RANK": "one", "WORLD_SIZE": "4"}, ["RANK", "one"]),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, ["MASTER_ADDR"]),
    ],
    ids=lambda value: "-".join(f"{name}-{text}" for name, text in value.items()) if isinstance(value, dict) else "",
)
def test_bad_environment(env: dict[str, str], words: list[str]) -> None:
    job = run_job([sys.executable, "-c", "import smddp; smddp.init(timeout=3)"], timeout=30, env=env)
    assert job.returncode == 1
    last_line = job.stderr.splitlines()[-1]
    assert last_line.startswith("SMDDPConfigError: "), job.stderr
    assert all(word in last_line for word in words), last_line
    assert "During handling of" not in job.stderr, job.stderr

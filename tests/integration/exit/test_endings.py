"""Ends without destroy or shutdown: exit code as the script wants it, silence, nothing left behind."""

from __future__ import annotations

import random
import sys

import pytest

from support.jobs import run_job
from support.processes import Template, python_path
from support.world import World

CASES = "integration.exit.cases.endings"
SEED = random.SystemRandom().randrange(1 << 32)
LINKS = [((), {}), ((2, 2), {}), ((3, 1), {}), ((), {"SMDDP_TRANSPORT": "tcp"})]


def check_silent_end(world: World) -> None:
    with world:
        for rank in world.join():
            assert rank.returncode == 0, f"rank {rank.rank} exited with {rank.returncode}"
            assert rank.stderr == "", f"rank {rank.rank} wrote {rank.stderr!r}"
        processes = world.processes_left()
        assert not processes, f"still running: {processes}"
        files = world.files_left()
        assert not files, f"left behind: {files}"


def run_once(template: Template, case: str, number: int) -> None:
    """Every run has its own random order of leaving and its own links between the ranks."""
    seed = f"{SEED} {case} {number}"
    print(f"seed {seed!r}")
    hosts, env = LINKS[number % 8] if number % 8 < len(LINKS) else LINKS[0]
    check_silent_end(World(4, f"{CASES}:{case}", seed, starter=template, hosts=hosts, env=env))


@pytest.mark.parametrize("number", range(8))
def test_without_destroy(torch_template: Template, number: int) -> None:
    run_once(torch_template, "torch_without_destroy", number)


@pytest.mark.parametrize("number", range(8))
def test_without_shutdown(template: Template, number: int) -> None:
    run_once(template, "numpy_without_shutdown", number)


@pytest.mark.repeat
@pytest.mark.timeout(500)
@pytest.mark.parametrize("first", range(100, 300, 20))
def test_without_destroy_many_times(torch_template: Template, first: int) -> None:
    for number in range(first, first + 20):
        run_once(torch_template, "torch_without_destroy", number)


@pytest.mark.repeat
@pytest.mark.timeout(500)
@pytest.mark.parametrize("first", range(100, 300, 20))
def test_without_shutdown_many_times(template: Template, first: int) -> None:
    for number in range(first, first + 20):
        run_once(template, "numpy_without_shutdown", number)


def test_without_any_collective(torch_template: Template) -> None:
    check_silent_end(World(4, f"{CASES}:no_collective", starter=torch_template))


@pytest.mark.parametrize("leaver", ["0", "3"])
@pytest.mark.parametrize(("hosts", "env"), LINKS, ids=["shm", "2+2", "3+1", "tcp"])
def test_leaving_early_harms_nobody(
    template: Template, hosts: tuple[int, ...], env: dict[str, str], leaver: str
) -> None:
    check_silent_end(World(4, f"{CASES}:one_leaves_early", leaver, starter=template, hosts=hosts, env=env))


def test_exit_code_is_the_scripts_own(template: Template) -> None:
    with World(4, f"{CASES}:exit_code", "9", starter=template) as world:
        assert [rank.returncode for rank in world.join()] == [0, 0, 9, 0]
        assert {rank.stderr for rank in world.join()} == {""}


def test_fresh_interpreters_end_silently() -> None:
    check_silent_end(World(4, f"{CASES}:torch_without_destroy", "fresh"))


def test_importing_starts_nothing() -> None:
    argv = [sys.executable, "-m", "support.rank_main", f"{CASES}:import_only"]
    run_job(argv, timeout=50, env={"PYTHONPATH": python_path()}).check()

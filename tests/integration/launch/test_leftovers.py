"""What is left of a job that is ended or killed, with every mpirun of this machine: no process and no file."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from integration.launch.helpers import TIMEOUT_S, Launcher, another_host
from integration.launch.running import descendants, python, running, wait_until_gone

from smddp.launch.spec import Dialect

pytestmark = pytest.mark.timeout(120)


def with_temporary_folder(launcher: Launcher, folder: Path) -> Launcher:
    return dataclasses.replace(launcher, env={**launcher.env, "TMPDIR": str(folder)})


def wait_until_empty(folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while left := list(folder.iterdir()):
        assert time.monotonic() < deadline, f"still there: {left}"
        os.sched_yield()


def test_killed_launcher_leaves_nothing(launcher: Launcher, tmp_path: Path) -> None:
    with running(with_temporary_folder(launcher, tmp_path)) as (job, pids):
        job.kill()
        wait_until_gone(pids)
        wait_until_empty(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_on_another_host(launcher: Launcher, number: signal.Signals, tmp_path: Path) -> None:
    _, options = another_host(launcher, tmp_path)
    hosts = f"{socket.gethostname()}:1,other-host:1"
    with running(launcher, "-H", hosts, "--mpi-options", options) as (job, pids):
        job.send_signal(number)
        assert job.wait(TIMEOUT_S) == (128 + number if number is signal.SIGTERM else -number)
        wait_until_gone(pids)


def test_killed_mpirun_leaves_nothing(launcher: Launcher, tmp_path: Path) -> None:
    with running(with_temporary_folder(launcher, tmp_path)) as (job, pids):
        (_, mpirun, *_) = descendants(job.pid)  # the first is its guard
        os.kill(mpirun, signal.SIGKILL)
        assert job.wait(TIMEOUT_S) not in (0, None)
        wait_until_gone(pids)
        assert list(tmp_path.iterdir()) == []


def test_killed_guard_leaves_nothing(launcher: Launcher, tmp_path: Path) -> None:
    with running(with_temporary_folder(launcher, tmp_path)) as (job, pids):
        (guard, *_) = descendants(job.pid)
        os.kill(guard, signal.SIGKILL)
        assert job.wait(TIMEOUT_S) not in (0, None)
        wait_until_gone(pids)
        assert list(tmp_path.iterdir()) == []


def test_own_folder_for_mpiruns_files_is_left_to_the_user(launcher: Launcher, tmp_path: Path) -> None:
    if launcher.dialect is not Dialect.OPEN_MPI_5:
        pytest.skip("only Open MPI 5 tells its ranks where its files are")
    code = "import os; os.write(1, os.environ['PMIX_SERVER_TMPDIR'].encode())"
    options = f"--prtemca prte_tmpdir_base {tmp_path}"
    for words, env in ((("--mpi-options", options), {}), ((), {"PRTE_MCA_prte_tmpdir_base": str(tmp_path)})):
        done = launcher.outside("-np", "1", *words, *python(code), **env)
        assert (done.returncode, Path(done.stdout).parent) == (0, tmp_path)


def script_around(launcher: Launcher, folder: Path) -> Launcher:
    """As some images have it: an mpirun that is not replaced by the real one."""
    script = folder / "mpirun"
    script.write_text(f'#!/bin/bash\n{launcher.mpirun} "$@"\nexit $?\n', encoding="ascii")
    script.chmod(0o755)
    return Launcher(mpirun=str(script), dialect=launcher.dialect, smddprun=launcher.smddprun, env=launcher.env)


def test_script_around_mpirun_and_what_it_has_started_are_ended(launcher: Launcher, tmp_path: Path) -> None:
    around = script_around(launcher, tmp_path)
    with running(around) as (job, pids):
        job.send_signal(signal.SIGTERM)
        assert job.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        wait_until_gone(pids)
    done = around.outside("-np", "2", *python("import os; os._exit(7 if os.environ['RANK'] == '1' else 0)"))
    assert done.returncode == 7


def test_killed_launcher_leaves_nothing_of_a_script_around_mpirun(launcher: Launcher, tmp_path: Path) -> None:
    with running(script_around(launcher, tmp_path)) as (job, pids):
        job.kill()
        wait_until_gone(pids)


@pytest.mark.parametrize("victim", range(3), ids=["guard", "script", "mpirun"])
def test_killed_process_above_the_ranks_leaves_nothing(launcher: Launcher, tmp_path: Path, victim: int) -> None:
    with running(script_around(launcher, tmp_path)) as (job, pids):
        chain = [job.pid]
        for _ in range(3):
            (below,) = Path(f"/proc/{chain[-1]}/task/{chain[-1]}/children").read_text(encoding="ascii").split()
            chain.append(int(below))
        os.kill(chain[1 + victim], signal.SIGKILL)
        assert job.wait(TIMEOUT_S) not in (0, None)
        wait_until_gone(pids)

"""smddprun where no mpirun is needed: messages, and the wrapper with variables set by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.launch.helpers import clean_environment, smddprun_command

pytestmark = pytest.mark.timeout(60)


def smddprun(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*smddprun_command(), *words],
        capture_output=True,
        text=True,
        timeout=40,
        env={**clean_environment(), **env},
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-np", "2"], "no program given"),
        (["-np", "0", "true"], "at least 1"),
        (["--bogus", "true"], "--bogus"),
        (["-H", "a:0", "true"], "slot count"),
        (["-H", "a,a", "true"], "listed twice"),
        (["-H", "a", "--hostfile", "f", "true"], "not allowed with"),
        (["--hostfile", "/no/such", "true"], "cannot read it"),
        (["--mpi-options", "'", "true"], "quotation"),
        (["--mpirun", "/no/such/mpirun", "true"], "--mpirun /no/such/mpirun: no such program"),
        (["--mpirun", "/bin/true", "true"], "expected Open MPI or MPICH"),
        (["--rank", "true"], "without telling its rank"),
        (["--timeout", "soon", "true"], "expected a time such as 90, 90s, 15m or 2h, not 'soon'"),
        (["--timeout", "0", "true"], "not '0'"),
        (["--bind", "socket", "true"], "--bind: invalid choice: 'socket'"),
        (["--log-dir"], "expected one argument"),
    ],
)
def test_one_clear_line(words: list[str], part: str) -> None:
    done = smddprun(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("smddprun: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK='x'"),
        ({"RANK": "1"}, "WORLD_SIZE is not set"),
    ],
)
def test_bad_rank_environment(env: dict[str, str], part: str) -> None:
    done = smddprun("true", **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("smddprun: ")
    assert part in done.stderr


def test_script_without_interpreter_is_explained(tmp_path: Path) -> None:
    mpirun = tmp_path / "mpirun"
    mpirun.write_text("#!/bin/sh\necho 'mpirun (Open MPI) 5.0.1'\n", encoding="utf-8")
    mpirun.chmod(0o755)
    done = smddprun("--mpirun", str(mpirun), "-np", "2", "train.py")
    assert done.returncode == 2
    assert "cannot run 'train.py': there is no such program; to run a script:" in done.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
        {"SMDATAPARALLEL_WORLD_RANK": "1", "SMDATAPARALLEL_WORLD_SIZE": "2"},
        {
            **{"SLURM_STEP_ID": "0", "SLURM_JOB_ID": "9", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"},
            **{"SLURM_LOCALID": "1", "SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": "2"},
        },
    ],
    ids=["torchrun", "smdataparallel", "slurm"],
)
def test_wrapper_becomes_the_program(env: dict[str, str]) -> None:
    # the same process: $$ is its own number and the parent is this one
    script = 'echo "$RANK $WORLD_SIZE $A $PPID"; exit 9'
    done = smddprun("-x", "A=b c", "-x", "UNSET", "--", "/bin/sh", "-c", script, **env)
    assert (done.returncode, done.stdout, done.stderr) == (9, f"1 2 b c {os.getpid()}\n", "")


def test_signals_that_python_ignores_are_restored() -> None:
    done = smddprun("grep", "SigIgn", "/proc/self/status", RANK="0", WORLD_SIZE="1")
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & (1 << 12), "SIGPIPE"
    assert not ignored & (1 << 24), "SIGXFSZ"


def test_killed_program_is_seen_as_killed() -> None:
    done = smddprun("/bin/sh", "-c", "kill -KILL $$", RANK="0", WORLD_SIZE="1")
    assert done.returncode == -9


def test_program_of_the_own_environment_is_found_without_activation() -> None:
    done = smddprun(
        Path(sys.executable).name,
        "-c",
        "import sys; print(sys.executable)",
        RANK="0",
        WORLD_SIZE="1",
        PATH="/no/such/folder",
    )
    assert Path(done.stdout.strip()).parent == Path(sys.executable).parent, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_even_inside_a_rank(words: list[str]) -> None:
    done = smddprun(*words, RANK="0", WORLD_SIZE="2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "smddprun" in done.stdout

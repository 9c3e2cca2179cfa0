from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from integration.launch.helpers import REPORT, TIMEOUT_S, Launcher, another_host, ranks_of

from smddp.launch.rank_env import fill_rank_environment
from smddp.launch.spec import Dialect

pytestmark = pytest.mark.timeout(120)

#: What shells and launchers like to break.
HARD_VALUE = "a b; c, \"d\" 'e' $HOME \\ = \u00e9 \n#"


def column(ranks: list[dict[str, str]], name: str) -> list[str | None]:
    return [env.get(name) for env in ranks]


def test_launcher_fills_every_rank(launcher: Launcher, report: tuple[str, ...]) -> None:
    ranks = ranks_of(launcher.outside("-np", "4", *report))
    assert column(ranks, "RANK") == ["0", "1", "2", "3"]
    assert column(ranks, "SMDATAPARALLEL_WORLD_RANK") == ["0", "1", "2", "3"]
    assert sorted(env["LOCAL_RANK"] for env in ranks) == ["0", "1", "2", "3"]
    assert column(ranks, "SMDATAPARALLEL_LOCAL_RANK") == column(ranks, "LOCAL_RANK")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SMDATAPARALLEL_WORLD_SIZE"):
        assert column(ranks, name) == ["4"] * 4
    assert column(ranks, "MASTER_ADDR") == ["127.0.0.1"] * 4
    for name in ("MASTER_PORT", "SMDDP_JOB_SECRET"):
        assert len(set(column(ranks, name))) == 1
    assert len(ranks[0]["SMDDP_JOB_SECRET"]) == 64


def test_wrapper_under_plain_mpirun_fills_every_rank(launcher: Launcher, report: tuple[str, ...]) -> None:
    done = launcher.inside(3, *launcher.smddprun, "-x", f"HARD={HARD_VALUE}", "-x", "NOT_THERE", *report)
    ranks = ranks_of(done)
    assert column(ranks, "RANK") == ["0", "1", "2"]
    assert sorted(env["LOCAL_RANK"] for env in ranks) == ["0", "1", "2"]
    assert column(ranks, "LOCAL_WORLD_SIZE") == ["3"] * 3
    assert column(ranks, "MASTER_ADDR") == ["127.0.0.1"] * 3
    assert column(ranks, "HARD") == [HARD_VALUE] * 3
    ports = {env["MASTER_PORT"] for env in ranks}
    assert len(ports) == 1
    other_job = ranks_of(launcher.inside(2, *launcher.smddprun, *report))
    assert {env["MASTER_PORT"] for env in other_job} != ports


def test_local_ranks_are_those_of_the_launcher(launcher: Launcher, report: tuple[str, ...]) -> None:
    name = "MPI_LOCALRANKID" if launcher.dialect is Dialect.HYDRA else "OMPI_COMM_WORLD_LOCAL_RANK"
    ranks = ranks_of(launcher.inside(4, *launcher.smddprun, *report))
    assert column(ranks, "LOCAL_RANK") == column(ranks, name)


def test_script_without_smddprun_can_fill_its_own_environment(launcher: Launcher) -> None:
    code = (
        "import os; from smddp.launch.rank_env import fill_rank_environment; "
        f"fill_rank_environment(os.environ); {REPORT}"
    )
    # with a shell in between, as wrapper scripts have
    program = f"{shlex.join([sys.executable, '-c', code])}; :"
    ranks = ranks_of(launcher.inside(2, "sh", "-c", program))
    assert column(ranks, "RANK") == ["0", "1"]
    assert len(set(column(ranks, "MASTER_PORT"))) == 1
    assert ranks[0]["MASTER_PORT"].isdecimal()


@pytest.mark.parametrize("face", ["outside", "inside", "inside without smddprun"])
def test_a_parent_that_made_itself_a_world_of_one_is_no_rank(
    launcher: Launcher, report: tuple[str, ...], face: str
) -> None:
    alone: dict[str, str] = {}
    fill_rank_environment(alone)
    # Now one that no job can get by itself.
    alone["SMDDP_ALONE"] = alone["SMDDP_ALONE"].replace(f"MASTER_PORT={alone['MASTER_PORT']}", "MASTER_PORT=1")
    alone["MASTER_PORT"] = "1"
    if face == "outside":
        done = launcher.outside("-np", "2", *report, **alone)
    elif face == "inside":
        done = launcher.inside(2, *launcher.smddprun, *report, **alone)
    else:
        code = "import os; from smddp.launch.rank_env import fill_rank_environment as fill; fill(os.environ); "
        done = launcher.inside(2, sys.executable, "-c", code + REPORT, **alone)
    ranks = ranks_of(done)
    assert column(ranks, "RANK") == column(ranks, "SMDATAPARALLEL_WORLD_RANK") == ["0", "1"]
    assert sorted(env["LOCAL_RANK"] for env in ranks) == ["0", "1"]
    assert column(ranks, "LOCAL_WORLD_SIZE") == ["2", "2"]
    assert column(ranks, "SMDDP_ALONE") == [None, None]
    (port,) = set(column(ranks, "MASTER_PORT"))
    assert port != "1"


def test_values_already_set_stay(launcher: Launcher, report: tuple[str, ...]) -> None:
    own = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29999", "SMDDP_JOB_SECRET": "mine"}
    ranks = ranks_of(launcher.outside("-np", "2", *report, **own))
    for name, value in own.items():
        assert column(ranks, name) == [value, value]


def test_wrapper_is_silent(launcher: Launcher) -> None:
    done = launcher.inside(2, *launcher.smddprun, "true")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("face", ["outside", "inside"])
def test_exit_code_passes(launcher: Launcher, face: str) -> None:
    program = (sys.executable, "-c", "import os; os._exit(7 if os.environ['RANK'] == '1' else 0)")
    if face == "outside":
        done = launcher.outside("-np", "2", *program)
    else:
        done = launcher.inside(2, *launcher.smddprun, *program)
    assert done.returncode == 7


def test_exports_reach_the_ranks_unchanged(launcher: Launcher, report: tuple[str, ...]) -> None:
    done = launcher.outside(
        *("-np", "2", "-x", f"SET={HARD_VALUE}", "-x", "EMPTY=", "-x", "FORWARDED"),
        *("--mpi-options", "-x NCCL_DEBUG=VERSION -x 'TWO=a b'"),
        *report,
        FORWARDED=HARD_VALUE,
        NCCL_DEBUG="INFO",
    )
    ranks = ranks_of(done)
    assert column(ranks, "SET") == [HARD_VALUE] * 2
    assert column(ranks, "FORWARDED") == [HARD_VALUE] * 2
    assert column(ranks, "EMPTY") == ["", ""]
    assert column(ranks, "NCCL_DEBUG") == ["VERSION"] * 2
    assert column(ranks, "TWO") == ["a b"] * 2


def test_arguments_reach_the_program_unchanged(launcher: Launcher) -> None:
    arguments = ["-np", "--", HARD_VALUE, "", "-x", "A=1"]
    code = "import json, os, sys; os.write(1, (json.dumps(sys.argv[1:]) + chr(10)).encode())"
    done = launcher.outside("-np", "2", sys.executable, "-c", code, *arguments)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [arguments] * 2


def test_dry_run_does_the_same_when_pasted(launcher: Launcher, report: tuple[str, ...]) -> None:
    words = ["-np", "3", "-x", f"SET={HARD_VALUE}"]
    stale = {"RANK": "0", "WORLD_SIZE": "1"}
    shown = launcher.outside(*words, "--dry-run", *report, **stale)
    assert (shown.returncode, shown.stderr) == (0, "")
    runs = [ranks_of(launcher.run(["bash", "-c", shown.stdout], stale)) for _ in range(2)]
    for ranks in runs:
        assert column(ranks, "RANK") == ["0", "1", "2"]
        assert column(ranks, "SET") == [HARD_VALUE] * 3
        assert len(set(column(ranks, "SMDDP_JOB_SECRET"))) == 1
        assert ranks[0]["SMDDP_JOB_SECRET"] not in shown.stdout
    assert runs[0][0]["SMDDP_JOB_SECRET"] != runs[1][0]["SMDDP_JOB_SECRET"]
    assert len(runs[0][0]["SMDDP_JOB_SECRET"]) == 64


def test_terminating_smddprun_ends_the_ranks(launcher: Launcher) -> None:
    code = "import os, signal; os.write(1, b'%d\\n' % os.getpid()); signal.pause()"
    argv = [*launcher.smddprun, "--mpirun", launcher.mpirun, "-np", "2", sys.executable, "-c", code]
    job = subprocess.Popen(argv, env=dict(launcher.env), stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout is not None
        pids = [int(job.stdout.readline()) for _ in range(2)]
        job.send_signal(signal.SIGTERM)
        assert job.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        assert _gone(pids, deadline=time.monotonic() + TIMEOUT_S)
    finally:
        job.kill()
        job.communicate(timeout=TIMEOUT_S)


def _gone(pids: list[int], deadline: float) -> bool:
    """Return whether all processes end before the deadline (a rank's end and mpirun's are not ordered)."""
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def test_a_launch_inside_a_rank_is_refused(launcher: Launcher) -> None:
    done = launcher.inside(2, *launcher.smddprun, "-np", "2", "true")
    assert done.returncode != 0
    assert "each rank would start a job of its own" in done.stderr


def test_missing_program_inside_a_rank(launcher: Launcher) -> None:
    done = launcher.inside(2, *launcher.smddprun, "/no/such/program")
    assert done.returncode != 0
    # The launcher ends the others when the first rank fails, perhaps before they have said why.
    assert re.search(r"smddprun: rank [01]: cannot run '/no/such/program': No such file or directory", done.stderr)
    assert "Traceback" not in done.stderr


def test_two_hosts(launcher: Launcher, report: tuple[str, ...], tmp_path: Path) -> None:
    log, options = another_host(launcher, tmp_path)
    here = socket.gethostname()
    done = launcher.outside(
        *("-H", f"{here}:1,other-host:2", "--mpi-options", options, "-x", f"SET={HARD_VALUE}"), *report
    )
    ranks = ranks_of(done)
    assert column(ranks, "RANK") == ["0", "1", "2"]
    assert column(ranks, "WORLD_SIZE") == ["3"] * 3
    assert column(ranks, "LOCAL_RANK") == ["0", "0", "1"]
    assert column(ranks, "LOCAL_WORLD_SIZE") == ["1", "2", "2"]
    assert column(ranks, "MASTER_ADDR") == [here] * 3
    assert len(set(column(ranks, "MASTER_PORT"))) == 1
    assert column(ranks, "SET") == [HARD_VALUE] * 3
    assert len(set(column(ranks, "SMDDP_JOB_SECRET"))) == 1
    assert ranks[0]["SMDDP_JOB_SECRET"] not in log.read_text(encoding="utf-8")

"""A training job over two hosts that see the same files, started from one of them."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from system.conftest import TWO_HOSTS

from support.jobs import BIN, run_job
from support.netlab.lab import Lab

pytestmark = pytest.mark.timeout(200)

NAMES = TWO_HOSTS.names

#: In the place of ssh: mpirun calls it with a host and a command.
AGENT = """#!/bin/sh
host=$1
shift
case $host in
{cases}
esac
exec $enter sh -c "$*"
"""

SCRIPT = """
import json, os, sys
import numpy as np
import smddp

comm = smddp.init()
array = np.full(3, 2.0 ** comm.rank)
comm.all_reduce(array)
env = os.environ
found = {
    "sum": array.tolist(), "cwd": os.getcwd(), "argv": sys.argv[1:], "nodename": os.uname().nodename,
    **{name: env.get(name) for name in ("SM_CURRENT_HOST", "SM_HOSTS", "LOCAL_RANK", "TOKEN", "A")},
}
with open(os.path.join(env["SM_OUTPUT_DATA_DIR"], f"rank-{comm.rank}.json"), "w") as file:
    json.dump(found, file)
smddp.shutdown()
if "--fail" in sys.argv and comm.rank == 3:
    raise ValueError("rank 3 does not like it")
"""

FIT = """
import json, sys
from smddp.launch import Job
from smddp.launch.spec import Options

arguments = json.loads(sys.argv[1])
mpirun = arguments.pop("mpirun")
Job(launcher=Options(program=(), mpirun=mpirun), **arguments).fit(job_name="job")
"""

MPIRUNS = {"this-environment": str(BIN / "mpirun"), "open-mpi-of-the-system": shutil.which("mpirun.openmpi")}


def fit(hosts: Lab, folder: Path, mpirun: str, names: Sequence[str], **arguments: object) -> list[str | Path]:
    """The command that runs a job of four ranks from node0."""
    cases = "\n".join(
        f"{name}) enter={shlex.quote(shlex.join(hosts.enter(number)))} ;;" for number, name in enumerate(NAMES)
    )
    agent = folder / "agent"
    agent.write_text(AGENT.format(cases=cases), encoding="utf-8")
    agent.chmod(0o755)
    (folder / "src").mkdir()
    (folder / "src/train.py").write_text(SCRIPT, encoding="utf-8")
    # the second name is Open MPI 5's
    options = f"-x 'A=b c' --mca plm_rsh_agent {agent} --mca plm_ssh_agent {agent} --mca plm_rsh_no_tree_spawn 1"
    described = {
        "entry_point": "train.py",
        "source_dir": str(folder / "src"),
        "output_path": str(folder),
        "hosts": list(names),
        "processes_per_host": 2,
        "environment": {"TOKEN": "to 'ken'"},
        "distribution": {"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": options}}},
        "mpirun": mpirun,
        **arguments,
    }
    return [*hosts.enter(0, sys.executable), "-c", FIT, json.dumps(described)]


@pytest.mark.parametrize("kind", MPIRUNS)
@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids=["here-first", "here-last"])
def test_ranks_know_their_hosts(hosts: Lab, tmp_path: Path, kind: str, names: Sequence[str]) -> None:
    mpirun = MPIRUNS[kind]
    if mpirun is None:
        pytest.skip(f"no mpirun of this kind here: {kind}")
    run_job(fit(hosts, tmp_path, mpirun, names), timeout=150).check()
    for rank in range(4):
        found = json.loads((tmp_path / f"job/output/data/rank-{rank}.json").read_text(encoding="utf-8"))
        host = NAMES[rank // 2]  # the one that mpirun runs on comes first
        assert (found["nodename"], found["SM_CURRENT_HOST"]) == (host, host)
        assert json.loads(found["SM_HOSTS"]) == list(NAMES)
        assert found["sum"] == [15.0] * 3
        assert (found["TOKEN"], found["A"]) == ("to 'ken'", "b c")
        assert found["cwd"] == str(tmp_path / "src")


def test_failure_on_the_other_host(hosts: Lab, tmp_path: Path) -> None:
    command = fit(hosts, tmp_path, str(BIN / "mpirun"), NAMES, arguments=["--fail"])
    job = run_job(command, timeout=150)
    assert job.returncode == 1
    assert "JobFailedError: training job job failed with exit code 1" in job.stderr
    assert "ValueError: rank 3 does not like it" in (tmp_path / "job/output/failure").read_text(encoding="utf-8")[:900]

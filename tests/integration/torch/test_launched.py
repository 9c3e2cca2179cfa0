"""One script under every launcher: mpirun of several MPI libraries, smddprun, torchrun, and alone."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from support.jobs import BIN, run_job

pytestmark = [pytest.mark.timeout(150), pytest.mark.slow]  # interpreters that import torch, on a busy machine

SCRIPT = str(Path(__file__).with_name("launched.py"))
PROGRAM = [sys.executable, SCRIPT]
SECONDS = 120
RANKS = 2

ROOT = ["--allow-run-as-root"] if os.geteuid() == 0 else []
SMDDPRUN = [str(BIN / "smddprun")] if (BIN / "smddprun").exists() else [sys.executable, "-m", "smddp.launch"]
RUN = ["-np", str(RANKS)]
OPEN_MPI = [*ROOT, "--oversubscribe", *RUN]

LAUNCHERS = {
    "mpirun": [str(BIN / "mpirun"), *OPEN_MPI],
    "mpirun smddprun": [str(BIN / "mpirun"), *OPEN_MPI, *SMDDPRUN],
    "smddprun": [*SMDDPRUN, *RUN],
    "python -m smddp.launch": [sys.executable, "-m", "smddp.launch", *RUN],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)],
    "mpirun.openmpi": ["mpirun.openmpi", *OPEN_MPI],
    "mpirun.openmpi smddprun": ["mpirun.openmpi", *OPEN_MPI, *SMDDPRUN],
    "mpich": ["mpiexec.hydra", *RUN],
    "mpich smddprun": ["mpiexec.hydra", *RUN, *SMDDPRUN],
}
PACKAGES = {"mpirun.openmpi": "openmpi-bin", "mpiexec.hydra": "mpich"}


def run(launcher: list[str], program: list[str] = PROGRAM) -> list[dict[str, object]]:
    """Reports by rank."""
    if launcher and shutil.which(launcher[0]) is None:
        package = PACKAGES.get(launcher[0])
        pytest.skip(f"{launcher[0]} is not installed" + (f" (Debian package {package})" if package else ""))
    job = run_job([*launcher, *program], timeout=SECONDS, env={"OMP_NUM_THREADS": "1"}).check()
    lines = [json.loads(line) for line in job.stdout.splitlines() if line.startswith("{")]
    return sorted(lines, key=lambda report: report["rank"])


@pytest.fixture(scope="module")
def alone() -> dict[str, object]:
    (report,) = run([])
    return report


@pytest.fixture(scope="module")
def bits_of_two() -> set[object]:
    """What two ranks get under any launcher; filled by the first."""
    return set()


def test_alone(alone: dict[str, object]) -> None:
    assert (alone["rank"], alone["size"], alone["local_rank"]) == (0, 1, "0")


@pytest.mark.parametrize("name", LAUNCHERS)
def test_two_ranks(name: str, alone: dict[str, object], bits_of_two: set[object]) -> None:
    reports = run(LAUNCHERS[name], PROGRAM[1:] if name == "torchrun" else PROGRAM)
    assert [(report["rank"], report["size"]) for report in reports] == [(0, RANKS), (1, RANKS)]
    assert sorted(str(report["local_rank"]) for report in reports) == ["0", "1"]
    assert reports[0]["loss"] == pytest.approx(alone["loss"], rel=1e-10)
    bits_of_two |= {report["bits"] for report in reports}
    assert len(bits_of_two) == 1, "the launcher changed the result"

"""Scripts started the way the training platform starts them, by the distribution's own MPI libraries."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from support.jobs import BIN, REPOSITORY, run_job

pytestmark = pytest.mark.timeout(120)
SECONDS = 100
SCRIPT = str(REPOSITORY / "tests" / "system" / "mpi_script.py")
PROGRAM = [sys.executable, "-m", "mpi4py", SCRIPT]


def launcher(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return path


def smddprun() -> list[str]:
    script = BIN / "smddprun"
    return [str(script)] if script.exists() else [sys.executable, "-m", "smddp.launch"]


def check(output: str, ranks: list[str], library: str) -> None:
    """`ranks`: how the launcher marks the lines of each rank."""
    lines = output.splitlines()
    assert sorted(line for line in lines if "passed" in line) == [f"{rank}passed with {library}" for rank in ranks]
    others = [line for line in lines if "passed" not in line]
    assert len(others) == 1, output
    assert re.fullmatch(re.escape(ranks[0]) + r"smddp \S+, 4 ranks, shm", others[0]), others[0]


def test_open_mpi() -> None:
    mpirun = launcher("mpirun.openmpi", "openmpi-bin")
    options = ["-np", "4", "--allow-run-as-root", "--oversubscribe", "--tag-output", "-x", "NCCL_DEBUG=VERSION"]
    # mpi4py would take the library in this Python's environment, which the other mpirun cannot start.
    options += ["-x", "MPI4PY_LIBMPI=libmpi.so.40"]
    job = run_job([mpirun, *options, *smddprun(), *PROGRAM], timeout=SECONDS).check()
    assert job.stderr == ""
    check(job.stdout, [f"[1,{rank}]<stdout>:" for rank in range(4)], "Open")


def test_mpich(tmp_path: Path) -> None:
    mpirun = launcher("mpirun.mpich", "mpich")
    library = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "", "libmpich.so.12")
    if not library.exists():
        pytest.skip(f"{library} is not installed (Debian package libmpich12)")
    # Debian renames the library; mpi4py asks for it by the name that all relatives of MPICH share.
    (tmp_path / "libmpi.so.12").symlink_to(library)
    env = {"LD_LIBRARY_PATH": str(tmp_path), "MPI4PY_MPIABI": "mpich", "NCCL_DEBUG": "VERSION"}
    env["PYTHONUNBUFFERED"] = "1"  # as containers set it: a line must be one write, or MPICH tears it apart
    job = run_job([mpirun, "-np", "4", "-prepend-rank", *smddprun(), *PROGRAM], env=env, timeout=SECONDS).check()
    assert job.stderr == ""
    check(job.stdout, [f"[{rank}] " for rank in range(4)], "MPICH")

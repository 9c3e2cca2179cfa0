"""Which mpirun there is, and what each says of itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from smddp.errors import SMDDPConfigError
from smddp.launch.machine import find_mpirun
from smddp.tools.doctor.facts import Mpi, Program

__all__ = ["collect_mpi"]

_NAMES = ("mpirun", "mpiexec", "mpirun.openmpi", "mpirun.mpich", "mpiexec.hydra")
_SECONDS = 30.0
#: What SageMaker's training toolkit calls or looks for by name.
_PROGRAMS = ("smddprun", "mpirun", "which", "sshd")


def collect_mpi(named: str | None, env: Mapping[str, str]) -> Mpi:
    """Return the mpirun that smddprun would use (the one that is `named`, if any), and the others on the PATH."""
    path = env.get("PATH", os.defpath)
    mpirun, problem = None, ""
    try:
        found = find_mpirun(named, env)
    except SMDDPConfigError as error:
        problem = str(error)
    else:
        mpirun = Program(path=found, version=_version(found))
    seen = {_real(mpirun.path)} if mpirun else set()
    others = []
    for candidate in _candidates(path):
        if _real(candidate) not in seen:
            seen.add(_real(candidate))
            others.append(Program(path=candidate, version=_version(candidate)))
    programs = tuple(name for name in _PROGRAMS if shutil.which(name, path=path))
    return Mpi(mpirun=mpirun, problem=problem, others=tuple(others), programs=programs)


def _candidates(path: str) -> list[str]:
    found = [shutil.which(name, path=folder) for folder in path.split(os.pathsep) for name in _NAMES]
    return [name for name in found if name is not None]


def _real(path: str) -> Path:
    real = Path(path).resolve()
    # mpirun and mpiexec beside each other are one program, by whatever wrapper
    return real.parent if real.parent.joinpath("ompirun_wrapper").exists() else real


def _version(program: str) -> str:
    """The line that names it: the first, or, of Hydra's many, the one with the version."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    version = next((line.split()[-1] for line in lines if line.startswith("Version:")), "")
    return f"{lines[0].split()[0]} {version}" if version else next(iter(lines), "")

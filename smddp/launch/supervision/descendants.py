"""What has come of a process, as far as it has not ended."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process", "descendants", "real_mpiruns"]

_MPIRUNS = ("mpirun", "mpiexec", "prterun", "orterun")


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its number, name, parent and process group."""

    pid: int
    name: str
    parent: int
    group: int


def descendants(root: int) -> list[Process]:
    """Children of this process, their children, and so on."""
    children: dict[int, list[Process]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has just ended
        # pid (command) state parent group ...; the command itself may hold spaces and parentheses
        command, _, rest = stat.partition("(")[2].rpartition(")")
        state, parent, group = rest.split()[:3]
        if state not in "ZX":
            children.setdefault(int(parent), []).append(Process(int(folder.name), command, int(parent), int(group)))
    found: list[Process] = []
    pids = [root]
    for pid in pids:
        found += children.get(pid, [])
        pids += [child.pid for child in children.get(pid, [])]
    return found


def real_mpiruns(processes: Iterable[Process]) -> list[Process]:
    """Those that are an mpirun by name and in the process group of the one that asks."""
    group = os.getpgrp()
    return [process for process in processes if process.group == group and process.name.startswith(_MPIRUNS)]

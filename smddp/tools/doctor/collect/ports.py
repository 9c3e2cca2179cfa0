"""TCP ports: which the system gives, and who holds one."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from smddp.tools.doctor.collect.files import read_text
from smddp.tools.doctor.collect.processes import command_of, process_folders

__all__ = ["holder_of", "outgoing_ports", "port_for_listening"]

_LISTENS = "0A"


def port_for_listening() -> int:
    """Return a port of the kind that the engine gets: any that the system has free."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def outgoing_ports(root: Path = Path("/")) -> tuple[int, ...]:
    """First and last port of outgoing connections; () if the system does not tell."""
    words = read_text(root / "proc/sys/net/ipv4/ip_local_port_range").split()
    return tuple(int(word) for word in words) if len(words) == 2 else ()


def holder_of(port: int, root: Path = Path("/")) -> str:
    """Return who listens on the port, such as "process 12 (python train.py)"."""
    wanted = {f"socket:[{number}]" for number in _listening_sockets(port, root)}
    for folder in process_folders(root):
        with contextlib.suppress(OSError):
            for entry in (folder / "fd").iterdir():
                if str(entry.readlink()) in wanted:
                    return f"process {folder.name} ({command_of(folder)})"
    return "a process of another user" if os.geteuid() else "a process out of sight"


def _listening_sockets(port: int, root: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in read_text(root / "proc/net" / table).splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]

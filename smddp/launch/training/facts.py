"""What a job is told about the machine it runs on."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from smddp.identity import is_loopback

__all__ = ["gpu_count", "is_this_machine", "network_interface"]

_QUESTION = ("nvidia-smi", "--list-gpus")
_TIMEOUT_S = 30
_DEFAULT_ROUTE = "00000000"


def gpu_count() -> int:
    """Return the number of GPUs that nvidia-smi lists; 0 where it is missing or fails."""
    try:
        answer = subprocess.run(
            _QUESTION,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith(b"GPU ") for line in answer.stdout.splitlines())


def network_interface(routes: Path = Path("/proc/net/route")) -> str:
    """Return the interface of the default route; "eth0", the service's own, where there is none."""
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return "eth0"
    return next((words[0] for words in map(str.split, lines) if words[1:2] == [_DEFAULT_ROUTE]), "eth0")


def is_this_machine(name: str) -> bool:
    """Return whether a host's name is one of this machine's."""
    own = socket.gethostname()
    return name in ("localhost", own, own.partition(".")[0], os.uname().nodename) or is_loopback(name)

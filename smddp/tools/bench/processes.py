"""Processes that a benchmark starts: who they are told to be, and how they end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

__all__ = ["end_processes", "rank_environment"]

_ASKED_S = 5


def rank_environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torchrun would tell a rank, for a job on this machine."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in place.items()}}


def end_processes(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    """Wait until all have ended by themselves, at most `grace` seconds; then ask them to, then insist.

    They are asked first because mpirun ends its ranks then.
    """
    try:
        _wait(processes, grace)
        for process in processes:
            process.terminate()
        _wait(processes, _ASKED_S)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))

"""Processes that a benchmark starts: who they are told to be, and how they end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

__all__ = ["ending", "rank_environment"]

_ASKED_S = 5


def rank_environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torchrun would tell a rank, for a job on this machine."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in place.items()}}


@contextmanager
def ending(grace: float) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are put on the list have ended when the block is left.

    They get `grace` seconds to do so by themselves, unless the block is left by an exception (SystemExit and
    KeyboardInterrupt above all); then they are asked to, because mpirun ends its ranks then, and at last killed.
    """
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield processes
    except BaseException:
        _terminate(processes)
        raise
    finally:
        _end(processes, grace)


def _end(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    try:
        _wait(processes, grace)
        _terminate(processes)
        _wait(processes, _ASKED_S)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _terminate(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()


def _wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))

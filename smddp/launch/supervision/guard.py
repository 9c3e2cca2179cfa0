"""The process between smddprun and mpirun: it outlives smddprun, and then ends what mpirun was.

mpirun may be a script around the real one. The kernel can signal only a child at its parent's death, and such a script
dies of it without a word to the program it waits for. The guard adopts that program, and knows it by its name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from smddp.launch.supervision.descendants import descendants, real_mpiruns
from smddp.launch.supervision.kernel import adopt_orphans, die_with_parent, end_as
from smddp.launch.supervision.session_folder import remove_session_folder

__all__ = ["Ending", "guard"]

_LOOK_SECONDS = 1.0
#: What mpirun gets for ending the job on all hosts.
_PATIENCE_SECONDS = 10.0


class Ending:
    """Ends processes: asks them first, and kills them when their time is up."""

    def __init__(self) -> None:
        self._kill_at: float | None = None

    def step(self, pids: Iterable[int]) -> None:
        """Call again and again until there are none left."""
        now = time.monotonic()
        if self._kill_at is None:
            self._kill_at = now + _PATIENCE_SECONDS
            _send(pids, signal.SIGTERM)
        elif now > self._kill_at:
            _send(pids, signal.SIGKILL)


def guard(launcher: int, folder: Path | None) -> None:
    """Split this process: the child returns, to become mpirun; the parent guards it, and ends as it does.

    Signals that this process has blocked do nothing to the guard. SIGCHLD must be among them.

    Args:
        launcher: smddprun's process, the parent of this one.
        folder: mpirun's session directory, which the guard removes at the end.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent(signal.SIGTERM)  # the guard may be killed, too
        if os.getppid() != parent:
            os._exit(1)
        return
    try:
        _close_all()
        adopt_orphans()
        die_with_parent(signal.SIGCHLD)
        status = _see_through(pid, launcher)
        remove_session_folder(folder)
        end_as(status)
    finally:
        os._exit(1)


def _close_all() -> None:
    """Whoever waits for the end of the output waits for mpirun alone."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            os.close(int(descriptor.name))


def _see_through(pid: int, launcher: int) -> int:
    """Return how the child `pid` ended; when that is killed or `launcher` has gone, end what is left of it."""
    status: int | None = None
    ending = Ending()
    while True:
        status = _reap().get(pid, status)
        must_end = os.getppid() != launcher or status == -signal.SIGKILL
        if must_end or status is not None:  # until then nothing is worth a walk through all processes
            left = {process.pid for process in real_mpiruns(descendants(os.getpid()))}
            if status is None:
                left.add(pid)
            elif not left:
                return status
            if must_end:
                ending.step(left)
        signal.sigtimedwait({signal.SIGCHLD}, _LOOK_SECONDS)


def _reap() -> dict[int, int]:
    """Let go of ended children; exit code, or the negative number of the signal, by process."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

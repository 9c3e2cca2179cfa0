"""What Linux does for parents and children, and Python has no function for."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import NoReturn

__all__ = ["adopt_orphans", "die_with_parent", "end_as"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(signal_number: signal.Signals) -> None:
    """Let the kernel send this signal when the thread that started this process ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_as(status: int) -> NoReturn:
    """End with this exit code, or by the signal of this negative number, as a child has ended."""
    if status >= 0:
        os._exit(status)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child has left its own
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-status, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
    os.kill(os.getpid(), -status)
    os._exit(128 - status)  # a signal that does not kill

"""What a process does inside a host."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from support.rank_main import run_case

__all__ = ["bytes_sent", "enter_and_run"]

#: CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC and CLONE_NEWNET of <sched.h>.
_NAMESPACES = 0x0002_0000 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000


def bytes_sent() -> int:
    """Bytes that have left this host by any of its NICs."""
    nics = [nic for nic in Path("/sys/class/net").iterdir() if nic.name != "lo"]
    return sum(int((nic / "statistics" / "tx_bytes").read_text()) for nic in nics)


def enter_and_run(keeper: str, case: str, *arguments: str) -> None:
    """Enter the namespaces of the process with the id `keeper`, then run a case as there from the start.

    Raises:
        OSError: the kernel does not allow it; this process has other threads, for example.
    """
    folder = Path.cwd()
    descriptor = os.pidfd_open(int(keeper))
    # os.setns came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NAMESPACES) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"entering the host of process {keeper}: {os.strerror(number)}")
    os.close(descriptor)
    os.chdir(folder)
    run_case(case, list(arguments))

"""Processors that others keep busy."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["busy_processors"]

#: Ends with the process that started it, however that ends.
_SPIN = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    sum(range(100_000))
"""


@contextlib.contextmanager
def busy_processors() -> Iterator[None]:
    """All processors but one compute something else meanwhile, at least one of them."""
    count = max(len(os.sched_getaffinity(0)) - 1, 1)
    spinning = [subprocess.Popen([sys.executable, "-c", _SPIN, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()

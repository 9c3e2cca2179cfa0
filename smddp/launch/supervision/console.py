"""Where smddprun prints: what comes from mpirun, the status line, and the last word."""

from __future__ import annotations

import contextlib
import os
import threading

from smddp.launch.supervision.status_line import StatusLine

__all__ = ["STDERR", "STDOUT", "Console"]

STDOUT, STDERR = 1, 2


class Console:
    """Printing from several threads. Only `print` waits for whoever reads.

    Args:
        status: its line gives way to everything else.
    """

    def __init__(self, status: StatusLine) -> None:
        self._status = status
        self._lock = threading.Lock()
        self._in_line = False

    def print(self, stream: int, text: bytes) -> None:
        """Print it; whoever should read it may be gone, and then the job goes on."""
        if text:
            with self._lock:
                self._write(stream, text)

    def refresh(self) -> None:
        """Show the status, unless something is being printed."""
        if self._lock.acquire(blocking=False):
            try:
                self._status.refresh()
            finally:
                self._lock.release()

    def finish(self, line: str, patience: float) -> None:
        """Print the last line, on a line of its own, if the reader goes on reading within `patience` seconds."""
        if not self._lock.acquire(timeout=patience):
            return
        try:
            self._status.clear()
            if line:
                self._write(STDERR, b"\n" * self._in_line + f"smddprun: {line}\n".encode())
        finally:
            self._lock.release()

    def _write(self, stream: int, text: bytes) -> None:
        self._status.clear()
        if stream == STDERR:
            self._in_line = not text.endswith((b"\n", b"\r"))
        with contextlib.suppress(OSError):
            while text:
                text = text[os.write(stream, text) :]

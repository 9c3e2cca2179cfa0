"""The line on the terminal that says how far a job has come, where nothing else would."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from smddp.launch.supervision.verdict import Job

__all__ = ["StatusLine", "on_terminal"]

_CLEAR = b"\r\x1b[K"
#: A job that prints is its own sign of life.
_SILENT_SECONDS = 30.0


class StatusLine:
    """Shown while ranks start, and when a job has not printed for long.

    Args:
        job: what it is about.
        write: puts text on the terminal.
        clock: seconds.
    """

    def __init__(self, job: Job, write: Callable[[bytes], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._write = write
        self._clock = clock
        self._shown = False
        self._begun = self._heard = clock()

    def clear(self) -> None:
        """Before anything else is printed."""
        self._heard = self._clock()
        if self._shown:
            self._shown = False
            self._write(_CLEAR)

    def refresh(self) -> None:
        """Show what there is to say now."""
        text = self._text()
        if text:
            self._shown = True
            self._write(_CLEAR + f"smddprun: {text}".encode())

    def _text(self) -> str:
        now = self._clock()
        started = len(self._job.started)
        if started < self._job.size:
            return f"{started} of {self._job.size} ranks started, {now - self._begun:.0f} s"
        silent = now - self._heard
        return f"{started} ranks run, no output for {silent:.0f} s" if silent > _SILENT_SECONDS else ""


def on_terminal(descriptor: int) -> Callable[[bytes], object]:
    """A function that writes where this is a terminal and the job runs in its foreground, and else does nothing."""
    if not os.isatty(descriptor):
        return len

    def write(text: bytes) -> None:
        # A job in the background does not write over what its user types; and the terminal may be gone.
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                os.write(descriptor, text)

    return write

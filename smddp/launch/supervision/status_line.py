"""The line on the terminal that says how far a job has come, where nothing else would."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO

from smddp.launch.supervision.verdict import Job

__all__ = ["StatusLine"]

_CLEAR = b"\r\x1b[K"
#: A job that prints is its own sign of life.
_SILENT_SECONDS = 30.0


class StatusLine:
    """Shown while ranks start, and when a job has not printed for long.

    Args:
        job: what it is about.
        terminal: where to; None shows nothing.
        clock: seconds.
    """

    def __init__(self, job: Job, terminal: IO[bytes] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._terminal = terminal
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

    def _write(self, text: bytes) -> None:
        if self._terminal is not None:
            self._terminal.write(text)
            self._terminal.flush()

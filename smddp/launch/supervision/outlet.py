"""Where a program's output goes."""

from __future__ import annotations

import contextlib
import os

from smddp.launch.supervision.tagging import LineTagger

__all__ = ["Outlet", "write_all"]

#: So much of what was printed last is kept.
_TAIL_BYTES = 16384


class Outlet:
    """Passes one stream of a program on.

    Args:
        stream: 1 or 2, in this process and in the program.
        tagger: for its lines; None leaves them as they are.
        log: the descriptor of a file that gets them, too, without tags.
    """

    def __init__(self, stream: int, tagger: LineTagger | None, log: int | None) -> None:
        self.stream = stream
        self.tail = b""
        self._tagger = tagger
        self._log = log

    def write(self, piece: bytes) -> None:
        """Pass on what the program has printed."""
        self.tail = (self.tail + piece)[-_TAIL_BYTES:]
        write_all(self.stream, piece if self._tagger is None else self._tagger.feed(piece))
        if self._log is not None:
            write_all(self._log, piece)

    def end(self) -> None:
        """The program is over."""
        if self._tagger is not None:
            write_all(self.stream, self._tagger.end())


def write_all(descriptor: int, text: bytes) -> None:
    """Write it; whoever should read it may be gone, which is no reason to stop."""
    with contextlib.suppress(OSError):
        while text:
            text = text[os.write(descriptor, text) :]

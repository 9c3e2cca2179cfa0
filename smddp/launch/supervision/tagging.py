"""Lines that begin with the rank that prints them. Pure."""

from __future__ import annotations

import re

__all__ = ["LineTagger"]

#: Also up to a carriage return, as progress bars have; one at the end may be followed by a line feed.
_LINE = re.compile(rb"[^\r\n]*(?:\r?\n|\r(?=[^\n]))")


class LineTagger:
    """Puts a tag in front of each line of a stream that comes in pieces, and keeps back what is no line yet."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._kept = b""

    def feed(self, piece: bytes) -> bytes:
        """The lines that are complete now."""
        text = self._kept + piece
        lines = _LINE.findall(text)
        self._kept = text[sum(map(len, lines)) :]
        return b"".join(self._tag + line for line in lines)

    def end(self) -> bytes:
        """The line that never became complete, as one."""
        kept, self._kept = self._kept, b""
        return self._tag + kept.rstrip(b"\r") + b"\n" if kept else b""

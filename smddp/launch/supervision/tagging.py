"""Lines that begin with the rank that prints them. Pure."""

from __future__ import annotations

import re

__all__ = ["LineTagger"]

_LINE = re.compile(rb"[^\r\n]*(?:\r?\n|\r)")
#: A longer line is printed in parts.
_LONGEST = 65536


class LineTagger:
    """Puts a tag in front of each line of a stream that comes in pieces, and keeps back what is no line yet.

    Lines also end at a carriage return, as progress bars have.
    """

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._kept = b""

    def feed(self, piece: bytes) -> bytes:
        """The lines that are complete now."""
        text = self._kept + piece
        # A carriage return at the end may be followed by a line feed.
        complete = max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1)) + 1
        self._kept = text[complete:]
        lines = b"".join(self._tag + line for line in _LINE.findall(text[:complete]))
        return lines + (self.end() if len(self._kept) > _LONGEST else b"")

    def end(self) -> bytes:
        """The line that never became complete, as one."""
        kept, self._kept = self._kept, b""
        return self._tag + kept.rstrip(b"\r") + b"\n" if kept else b""

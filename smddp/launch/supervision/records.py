"""What the ranks tell the launcher, inside of their standard error. Pure.

A record is one line, written at once: a mark, words, and the mark's end. mpirun may have put a tag in front of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Ended", "Record", "Splitter", "Started", "encode"]

_MARK = b"\x1esmddprun "
_END = b"\x1e\n"
#: With the tags of Open MPI ("[1,3]<stderr>: ") and MPICH ("[3] ").
_RECORD = re.compile(rb"(?:\[\d+,\d+\]<stderr>: ?|\[\d+\] )?\x1esmddprun ([^\x1e]*)\x1e\r?\n")
#: No record is longer, so what comes after a mark without an end is something else.
_LONGEST = 4096
_LONGEST_CAUSE = 600


@dataclass(frozen=True, slots=True)
class Started:
    """The program of a rank is about to start."""

    rank: int
    pid: int
    host: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The program of a rank is over.

    Args:
        rank: whose.
        status: exit code, or the negative number of the signal that killed it.
        out_of_memory: the kernel killed a process of its control group meanwhile.
        cause: the error that it printed last; empty if none was recognised.
    """

    rank: int
    status: int
    out_of_memory: bool = False
    cause: str = ""


Record = Started | Ended


def encode(record: Record) -> bytes:
    """The bytes to write at once."""
    if isinstance(record, Started):
        words = f"started {record.rank} {record.pid} {record.host}"
    else:
        cause = " ".join(record.cause.split())[:_LONGEST_CAUSE].replace("\x1e", "")
        words = f"ended {record.rank} {record.status} {int(record.out_of_memory)} {cause}"
    return _MARK + words.encode("utf-8", "replace") + _END


class Splitter:
    """Takes records out of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, piece: bytes) -> tuple[bytes, list[Record]]:
        """What else is in the stream so far, and the records."""
        text = self._kept + piece
        records = [record for found in _RECORD.finditer(text) if (record := _decode(found[1])) is not None]
        text = _RECORD.sub(b"", text)
        begin = _begin_of_record(text)
        self._kept = text[begin:]
        return text[:begin], records

    def end(self) -> bytes:
        """What was kept for a record that never became complete."""
        kept, self._kept = self._kept, b""
        return kept


def _begin_of_record(text: bytes) -> int:
    """Where a record begins that is not complete yet; the length of the text if there is none."""
    begin = text.rfind(_MARK)
    if begin >= 0 and len(text) - begin < _LONGEST:
        return begin
    part = next((size for size in range(len(_MARK) - 1, 0, -1) if text.endswith(_MARK[:size])), 0)
    return len(text) - part


def _decode(words: bytes) -> Record | None:
    kind, _, rest = words.decode("utf-8", "replace").partition(" ")
    try:
        if kind == "started":
            rank, pid, host = rest.split(" ", 2)
            return Started(int(rank), int(pid), host)
        rank, status, out_of_memory, cause = rest.split(" ", 3)
        return Ended(int(rank), int(status), out_of_memory == "1", cause)
    except ValueError:
        return None

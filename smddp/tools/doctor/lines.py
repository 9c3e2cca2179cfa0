"""How probes hand their results to the launcher: as lines on standard output, through whatever mpirun makes of it.

mpirun may put something before each line, and mixes the lines of ranks, but keeps short ones whole.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import zlib
from collections.abc import Mapping
from typing import Any

__all__ = ["pack", "read_results", "send_result", "unpack"]

_CHARACTERS = 400
_LINE = re.compile(r"smddp-doctor (\d+) (\d+)/(\d+) ([A-Za-z0-9_=-]+)")


def pack(value: Any) -> str:
    """Return a JSON value as one word without special characters."""
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode()


def unpack(word: str) -> Any:
    """Return what `pack` was given.

    Raises:
        ValueError: the word is not whole.
    """
    try:
        return json.loads(zlib.decompress(base64.urlsafe_b64decode(word)))
    except (binascii.Error, zlib.error) as error:
        msg = f"not a packed value: {error}"
        raise ValueError(msg) from error


def send_result(rank: int, value: Any, stream: int = 1) -> None:
    """Write the result of this probe."""
    word = pack(value)
    parts = [word[begin : begin + _CHARACTERS] for begin in range(0, len(word), _CHARACTERS)]
    for index, part in enumerate(parts):
        os.write(stream, f"smddp-doctor {rank} {index}/{len(parts)} {part}\n".encode())


def read_results(text: str) -> Mapping[int, Any]:
    """Return the results by rank; those that are not whole are left out."""
    parts: dict[int, dict[int, str]] = {}
    counts = {}
    for rank, index, count, part in _LINE.findall(text):
        parts.setdefault(int(rank), {})[int(index)] = part
        counts[int(rank)] = int(count)
    found = {}
    for rank, count in counts.items():
        if len(parts[rank]) == count:
            try:
                found[rank] = unpack("".join(parts[rank][index] for index in range(count)))
            except (KeyError, ValueError):
                continue
    return dict(sorted(found.items()))

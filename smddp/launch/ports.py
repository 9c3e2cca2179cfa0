"""Which TCP port a job meets at: a pure choice, the same in every rank.

``MASTER_PORT`` belongs to the framework's store; the port after it to smddp's own store. So ports are handed
out in pairs. The pairs lie in 16384..29365: below Linux's usual range for outgoing connections (32768 and
up), so no client socket sits on one by chance, and below 29400 and 29500, torchrun's and torch's own
defaults.
"""

from __future__ import annotations

import zlib

__all__ = ["PAIR_COUNT", "job_port", "pair_port"]

_FIRST_PORT = 16384

#: A prime: see `job_port`.
PAIR_COUNT = 6491


def pair_port(index: int) -> int:
    """Return the first port of pair ``index`` (taken modulo `PAIR_COUNT`)."""
    return _FIRST_PORT + 2 * (index % PAIR_COUNT)


def job_port(job_id: str) -> int:
    """Return the port that a job of this name uses.

    Job names carry a process or job number. Reading all digits as one number and reducing it by a prime keeps
    numbers near each other apart: of two jobs on one machine whose numbers differ by less than `PAIR_COUNT`
    none meets the other's port, which a hash could not promise.
    """
    digits = "".join(character for character in job_id if character in "0123456789")
    # int() refuses very long text; no launcher's name has more digits than this
    return pair_port(int(digits[-100:]) if digits else zlib.crc32(job_id.encode()))

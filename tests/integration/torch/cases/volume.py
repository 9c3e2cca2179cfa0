"""Thousands of operations under way, in windows: the way throughput is measured."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers

OPERATIONS, WINDOW = 10_000, 512
ELEMENTS = (1 << 20) // 4
#: What may come and go: allocators keep some, and the interpreter does.
GROWTH_BYTES = 16 << 20


def all_reduces_in_windows(peers: Peers) -> None:
    """10,000 of 1 MiB, 512 at a time: right, in order, and without growth."""
    base = torch.arange(ELEMENTS, dtype=torch.float32) % 1000
    tensors = [torch.empty(ELEMENTS) for _ in range(WINDOW)]
    ranks = torch.arange(peers.size)
    settled = 0
    for begin in range(0, OPERATIONS, WINDOW):
        window = range(begin, min(begin + WINDOW, OPERATIONS))
        for number in window:
            torch.add(base, peers.rank * 7 + number, out=tensors[number - begin])
        works = [dist.all_reduce(tensors[number - begin], async_op=True) for number in window]
        for position in (len(works) // 3, len(works) // 2, len(works) - 1):
            works[position].wait()
            assert all(work.is_completed() for work in works[: position + 1]), f"overtaken before {begin + position}"
        for number in window:
            expected = base * peers.size + (ranks * 7 + number).sum()
            assert torch.equal(tensors[number - begin], expected), f"all_reduce {number}"
        if begin == 2 * WINDOW:
            settled = resident_bytes()
    grown = resident_bytes() - settled
    assert grown < GROWTH_BYTES, f"{grown >> 20} MiB more than after {3 * WINDOW} operations"


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

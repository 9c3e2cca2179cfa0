"""Collectives of Python objects."""

from __future__ import annotations

import torch
import torch.distributed as dist
from integration.torch.layers.runner import Job


def thing(rank: int) -> dict[str, object]:
    """What a rank brings: of a size of its own."""
    return {"rank": rank, "text": "x" * (1 + 5000 * rank), "tensor": torch.arange(3.0 + rank), "none": None}


def all_gather_object(job: Job) -> object:
    everything: list[object] = [None] * job.size
    dist.all_gather_object(everything, thing(job.rank))
    return everything


def broadcast_object_list(job: Job) -> object:
    results = []
    for source in range(job.size):
        box = [thing(source), source, "a"] if job.rank == source else [None, None, None]
        dist.broadcast_object_list(box, src=source)
        results.append(box)
    return results


def gather_object(job: Job) -> object:
    results = []
    for target in range(job.size):
        everything: list[object] | None = [None] * job.size if job.rank == target else None
        dist.gather_object(thing(job.rank), everything, dst=target)
        results.append(everything)
    return results


def scatter_object_list(job: Job) -> object:
    results: list[object] = []
    for source in range(job.size):
        everything = [(source, thing(rank)) for rank in range(job.size)] if job.rank == source else None
        mine: list[object] = [None]
        dist.scatter_object_list(mine, everything, src=source)
        results += mine
    return results


def send_object_list(job: Job) -> object:
    """From each rank to the next."""
    received: list[object] = [None, None]
    if job.rank > 0:
        dist.recv_object_list(received, src=job.rank - 1)
    if job.rank < job.size - 1:
        dist.send_object_list([thing(job.rank), "second"], dst=job.rank + 1)
    return received


def in_a_subgroup(job: Job) -> object:
    members = [0, job.size - 1]
    group = dist.new_group(members)
    if job.rank not in members:
        return None
    everything: list[object] = [None, None]
    dist.all_gather_object(everything, thing(job.rank), group=group)
    box = [thing(9)] if job.rank == members[1] else [None]
    dist.broadcast_object_list(box, src=members[1], group=group)
    return everything, box

"""A part of the world: errors name ranks as the user counts them, in the whole world."""

from __future__ import annotations

import os

from integration.faults.cases.common import join_torch, say, telling


def leave(ending: str) -> None:
    """Ranks 1 and 3 of 4 form a group; rank 3 ends, rank 1 goes on."""
    import torch
    import torch.distributed as dist

    join_torch(20)
    group = dist.new_group([1, 3])
    rank = dist.get_rank()
    if rank not in (1, 3):
        return
    dist.all_reduce(torch.ones(3), group=group)
    if rank == 3 and ending == "die":
        os._exit(4)
    if rank == 3 and ending == "leave":
        return
    with telling():
        dist.all_reduce(torch.ones(3 if rank == 1 else 4), group=group)
        say("no error")


def roots() -> None:
    """Ranks 1 and 3 of 4 form a group; each believes that it is the root of a broadcast."""
    import torch
    import torch.distributed as dist

    join_torch(20)
    group = dist.new_group([1, 3])
    rank = dist.get_rank()
    if rank in (1, 3):
        with telling():
            dist.broadcast(torch.full((3,), float(rank)), src=rank, group=group)


def absent(timeout: str) -> None:
    """Rank 3 does not come to its group."""
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    join_torch(20)
    group = dist.new_group([1, 3], timeout=timedelta(seconds=float(timeout)))
    if dist.get_rank() == 1:
        with telling():
            dist.all_reduce(torch.ones(3), group=group)
    dist.barrier()

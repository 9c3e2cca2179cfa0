"""Barriers that some ranks do not reach."""

from __future__ import annotations

import os
from datetime import timedelta

import torch.distributed as dist
from integration.torch.cases.common import join

from smddp.errors import SMDDPTimeoutError

SHORT = timedelta(seconds=1)


def world() -> dist.ProcessGroup:
    assert dist.group.WORLD is not None
    return dist.group.WORLD


def leave_together() -> None:
    """Nobody ends before all have seen their error, and rank 0, which serves the store, ends last."""
    store = dist.distributed_c10d._get_default_store()
    rank, ranks = dist.get_rank(), range(dist.get_world_size())
    store.set(f"told {rank}", "")
    store.wait([f"told {other}" for other in ranks])
    store.set(f"left {rank}", "")
    if rank == 0:
        store.wait([f"left {other}" for other in ranks])
    os._exit(0)


def all_come(seed: str) -> None:
    peers = join(seed)
    for all_ranks in (False, True):
        world().monitored_barrier(SHORT * 20, wait_all_ranks=all_ranks)
        dist.monitored_barrier(timeout=SHORT * 20, wait_all_ranks=all_ranks)
    group = dist.new_group(list(range(peers.size)), backend="smddp")
    group.monitored_barrier(SHORT * 20)
    dist.monitored_barrier(group)
    other = dist.new_group(list(range(peers.size)), backend="gloo")
    dist.monitored_barrier(other, SHORT * 20)
    alone = dist.new_group([0], backend="smddp")
    if peers.rank == 0:
        dist.monitored_barrier(alone, SHORT)
    print("passed")
    dist.destroy_process_group()


def behind_torchs_wrapper(_: str) -> None:
    """In its most detailed debug mode torch puts a backend of its own before each group's."""
    dist.set_debug_level(dist.DebugLevel.DETAIL)
    join()
    dist.monitored_barrier(timeout=SHORT * 20)
    print("passed")
    dist.destroy_process_group()


def some_are_missing(late: str, wait_all_ranks: str, connected: str) -> None:
    """The ranks named in `late` never come; `connected` whether the group has been used before."""
    peers = join()
    missing = [int(rank) for rank in late.split(",")]
    group = world() if connected == "yes" else dist.new_group(list(range(peers.size)))
    if peers.rank not in missing:
        try:
            dist.monitored_barrier(group, SHORT, wait_all_ranks=wait_all_ranks == "yes")
        except RuntimeError as error:
            print(f"{type(error).__name__}: {error}".replace("\n", " | "), flush=True)
    leave_together()


def no_time(_: str) -> None:
    join()
    try:
        world().monitored_barrier(timedelta(seconds=0))
    except SMDDPTimeoutError as error:
        print(error, flush=True)
    dist.barrier()
    dist.destroy_process_group()


def plain_barrier(_: str) -> None:
    """Rank 0 alone comes, with a deadline of its own."""
    peers = join()
    if peers.rank == 0:
        try:
            dist.barrier(timeout=SHORT)
        except RuntimeError as error:
            print(error, flush=True)
    leave_together()

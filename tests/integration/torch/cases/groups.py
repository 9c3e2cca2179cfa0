"""Groups beside the default one."""

from __future__ import annotations

import random

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers, assert_bits

from support.oracle import place, reduced

GROUPS = 8


def subgroups(peers: Peers) -> None:
    """Every pair of ranks, and every group of all but one, with results of its members only."""
    ranks = range(peers.size)
    members = [[a, b] for a in ranks for b in ranks if a < b] + [[r for r in ranks if r != out] for out in ranks]
    groups = [dist.new_group(list(each)) for each in members]
    for each, group in zip(members, groups, strict=True):
        if peers.rank not in each:
            continue
        tensor = peers.own("float32", 1000)
        dist.all_reduce(tensor, group=group)
        hosts = {rank: str(host) for host, there in enumerate(peers.placement) for rank in there}
        arrays = [peers.brought("float32", 1000, rank) for rank in each]
        assert_bits(tensor, reduced("float32", "sum", arrays, place([hosts[rank] for rank in each])), f"{each}")

        shown = torch.full((3,), float(peers.rank))
        dist.broadcast(shown, each[-1], group=group)
        assert torch.equal(shown, torch.full((3,), float(each[-1])))


def different_orders(peers: Peers) -> None:
    """Each rank starts its first use of the groups in an order of its own."""
    groups = [dist.new_group() for _ in range(GROUPS)]
    dist.new_group()  # never used
    order = random.Random(peers.seed + peers.rank).sample(range(GROUPS), GROUPS)
    for _ in range(5):
        tensors = {number: peers.own("float32", 100 * number + 1) for number in order}
        works = [dist.all_reduce(tensors[number], group=groups[number], async_op=True) for number in order]
        for work in works:
            work.wait()
        for number, tensor in tensors.items():
            assert_bits(tensor, peers.reduced("float32", "sum", 100 * number + 1))


def destroyed_one_by_one(peers: Peers) -> None:
    """Groups come and go; the default group does not notice."""
    for number in range(5):
        group = dist.new_group()
        tensor = peers.own("float32", 10 + number)
        dist.all_reduce(tensor, group=group)
        assert_bits(tensor, peers.reduced("float32", "sum", 10 + number))
        dist.destroy_process_group(group)
        tensor = peers.own("float32", 10)
        dist.all_reduce(tensor)
        assert_bits(tensor, peers.reduced("float32", "sum", 10))

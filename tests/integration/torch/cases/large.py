"""Tensors for kernels that read and write those of other ranks: where they lie, and what was there before."""

from __future__ import annotations

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers
from integration.torch.cases.devices import all_the_same, total, whole

#: Too large for one shot.
COUNT = 100_000


def results_are_right_before_and_after(peers: Peers) -> None:
    for turn in range(4):
        tensor = whole(peers, 1.0 + turn, COUNT)
        dist.all_reduce(tensor)
        all_the_same(tensor, total(peers, 1.0 + turn))
        gathered = torch.zeros(peers.size * COUNT)
        dist.all_gather_into_tensor(gathered, whole(peers, 2.0 + turn, COUNT))
        for rank, block in enumerate(gathered.cpu().split(COUNT)):
            assert torch.equal(block, torch.full((COUNT,), (2.0 + turn) * (rank + 1), device="cpu"))


def parts_of_tensors_at_odd_places(peers: Peers) -> None:
    tensor = torch.zeros(COUNT + 10)
    for first in (0, 1, 3, 4):
        part = tensor[first : first + COUNT]
        for turn in range(3):
            tensor.fill_(-1.0)
            part.fill_(float(peers.rank + turn))
            dist.all_reduce(part)
            all_the_same(part, float(sum(range(peers.size)) + peers.size * turn))
            outside = torch.cat([tensor[:first], tensor[first + COUNT :]])
            all_the_same(outside, -1.0)


def more_tensors_than_can_be_open(peers: Peers) -> None:
    tensors = [whole(peers, 1.0 + number, COUNT) for number in range(150)]
    for _ in range(2):
        for number, tensor in enumerate(tensors):
            tensor.fill_((1.0 + number) * (peers.rank + 1))
            dist.all_reduce(tensor)
            all_the_same(tensor, total(peers, 1.0 + number))


def in_place_and_out_of_place_in_two_groups(peers: Peers) -> None:
    """Groups open the same memory; what one closes stays open for the other."""
    tensor = torch.zeros(COUNT)
    second = dist.new_group()
    for group in (dist.group.WORLD, second, dist.group.WORLD):
        for _ in range(3):
            tensor.fill_(float(peers.rank + 1))
            dist.all_reduce(tensor, group=group)
            all_the_same(tensor, total(peers, 1.0))
    dist.destroy_process_group(second)
    for _ in range(3):
        tensor.fill_(float(peers.rank + 1))
        dist.all_reduce(tensor)
        all_the_same(tensor, total(peers, 1.0))


def memory_comes_and_goes(peers: Peers) -> None:
    """Freed memory may be where new memory is, which the other ranks have to open anew."""
    for turn in range(6):
        tensors = [whole(peers, value, COUNT * (turn + 1)) for value in (1.0, 2.0)]
        for _ in range(4):
            for value, tensor in zip((1.0, 2.0), tensors, strict=True):
                dist.all_reduce(tensor.fill_(value * (peers.rank + 1)))
                all_the_same(tensor, total(peers, value))
        del tensor, tensors
        empty_cache = getattr(getattr(torch, torch.get_default_device().type), "empty_cache", None)
        if empty_cache is not None:
            empty_cache()

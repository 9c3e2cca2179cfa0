"""Tensors that ranks of a host open for each other: what is copied, and what becomes of freed memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers, join
from integration.torch.cases.devices import all_the_same, total, whole
from integration.torch.cases.large import COUNT, parts_of_tensors_at_odd_places, results_are_right_before_and_after

from support import fake_gpu


def copies_on_the_gpu() -> int:
    return fake_gpu.load().calls("cuMemcpyDtoDAsync_v2")


def opens() -> bool:
    """Whether this rank lets the others open its tensors."""
    return os.environ.get("SMDDP_GPU_OPEN_TENSORS", "on") == "on"


def wait_until(done: Callable[[], bool], call: Callable[[], object]) -> bool:
    """Calls it on all ranks until it is done on all, or too often; whether it is."""
    deadline = time.monotonic() + 20
    while True:
        call()
        torch.accelerator.synchronize()
        state = torch.tensor([done(), time.monotonic() < deadline], dtype=torch.int32, device="cpu")
        dist.all_reduce(state, op=dist.ReduceOp.MIN)
        if state[0]:
            return True
        if not state[1]:
            return False


def copied_by(call: Callable[[], object]) -> int:
    """How often the call copies tensors."""
    before = copies_on_the_gpu()
    call()
    torch.accelerator.synchronize()
    return copies_on_the_gpu() - before


def is_used_in_place(call: Callable[[], object]) -> bool:
    """Whether the tensors of the ranks that open theirs are used where they are, once all know them."""
    copied = 1

    def again() -> None:
        nonlocal copied
        copied = copied_by(call)

    return wait_until(lambda: copied == 0 or not opens(), again)


def tensors_are_used_where_they_are(peers: Peers) -> None:
    part, all_parts = torch.zeros(COUNT), torch.zeros(peers.size * COUNT)
    calls: dict[str, Callable[[], object]] = {
        "all_reduce": lambda: dist.all_reduce(part),
        "reduce": lambda: dist.reduce(part, 1),
        "broadcast": lambda: dist.broadcast(part, 1),
        "reduce_scatter": lambda: dist.reduce_scatter_tensor(part, all_parts),
        "all_gather": lambda: dist.all_gather_into_tensor(all_parts, part),
    }
    for name, call in calls.items():
        assert is_used_in_place(call), name
    assert copied_by(calls["all_reduce"]) == (0 if opens() else 2)


def memory_that_is_freed_is_closed(peers: Peers) -> None:
    if not opens():
        return
    gpu = fake_gpu.load()
    small = whole(peers, 1.0, COUNT)
    for value in (3.0, 4.0):
        before = gpu.calls("cuIpcCloseMemHandle")
        tensor = whole(peers, value, COUNT)
        assert is_used_in_place(lambda tensor=tensor: dist.all_reduce(tensor))
        dist.all_reduce(tensor.fill_(value * (peers.rank + 1)))
        all_the_same(tensor, total(peers, value))
        del tensor
        closed = wait_until(
            lambda before=before: gpu.calls("cuIpcCloseMemHandle") > before, lambda: dist.all_reduce(small)
        )
        assert closed, "the others still hold what was freed"


def one_rank_keeps_its_own(seed: str, device: str) -> None:
    """Each rank decides for itself."""
    if os.environ["RANK"] == "1":
        os.environ["SMDDP_GPU_OPEN_TENSORS"] = "off"
    peers = join(seed, device)
    for case in (tensors_are_used_where_they_are, results_are_right_before_and_after, parts_of_tensors_at_odd_places):
        case(peers)
        dist.barrier()
    dist.destroy_process_group()

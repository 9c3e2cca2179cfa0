"""Tensors of a GPU where smddp finds no CUDA driver: an error at once that says so and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from integration.torch.cases.common import choose_device, join

from smddp.errors import SMDDPConfigError

#: A first collective would wait for the other ranks, which are not there.
AT_ONCE_SECONDS = 5.0


def refused(call: Callable[[], object]) -> None:
    begun = time.monotonic()
    try:
        call()
    except SMDDPConfigError as error:
        assert time.monotonic() - begun < AT_ONCE_SECONDS
        for text in ("no CUDA driver", "libcuda.so.1", "nvidia-smi", "CPU tensors"):
            assert text in str(error), f"{text!r} is not in: {error}"
    else:
        raise AssertionError("not refused")


def tensors(seed: str) -> None:
    """One rank at a time, so that nobody waits for another; the group goes on with CPU tensors."""
    peers = join(seed, "fakegpu")
    tensor, both = torch.ones(3), torch.ones(3 * peers.size)
    for turn in range(peers.size):
        if turn == peers.rank:
            for _ in range(2):  # the second call says the same
                refused(lambda: dist.all_reduce(tensor))
            refused(lambda: dist.all_reduce(tensor, async_op=True))
            refused(lambda: dist.broadcast(tensor, 0))
            refused(lambda: dist.all_gather_into_tensor(both, tensor))
            refused(lambda: dist.reduce_scatter_tensor(tensor, both))
            refused(lambda: dist.send(tensor, (peers.rank + 1) % peers.size))
        on_cpu = torch.ones(3, device="cpu")
        dist.all_reduce(on_cpu)
        assert on_cpu.tolist() == [peers.size] * 3
    dist.barrier()
    dist.destroy_process_group()


def device_id(seed: str) -> None:
    """Asked for from the start."""
    choose_device("fakegpu")
    refused(lambda: dist.init_process_group("smddp", device_id=torch.get_default_device()))

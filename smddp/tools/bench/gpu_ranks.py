"""The ranks of a benchmark on GPUs, and which GPU each of them has."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import torch
import torch.distributed as dist

from smddp.identity import read_identity
from smddp.tools.doctor.collect.system import host_id

__all__ = ["GpuRanks", "choose_gpu", "ranks_of_gpus"]


class GpuRanks:
    """All ranks and this one's GPU, which is idle wherever time is taken."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.rank, self.size = device, dist.get_rank(), dist.get_world_size()

    def barrier(self) -> None:
        """Wait for this rank's GPU, then for all ranks."""
        self.finish()
        dist.barrier()

    def finish(self) -> None:
        """Wait until the GPU has done all that this rank gave it."""
        torch.accelerator.synchronize(self.device)

    def all_reduce(self, array: Any, op: str = "sum", /) -> None:
        """Reduce an array of the host over all ranks, in place."""
        dist.all_reduce(torch.from_numpy(array), dist.ReduceOp.MAX if op == "max" else dist.ReduceOp.SUM)

    def gather(self, text: str) -> list[str]:
        """The texts of all ranks."""
        texts = [""] * self.size
        dist.all_gather_object(texts, text)
        return texts

    def say(self, text: str) -> None:
        """Print a line once for all ranks."""
        if self.rank == 0:
            print(text, flush=True)


def choose_gpu(device_type: str) -> torch.device:
    """Make a GPU the one of this rank: by its number on the host, modulo the number of GPUs."""
    index = read_identity(os.environ).local_rank % torch.accelerator.device_count()
    torch.accelerator.set_device_index(index)
    return torch.device(device_type, index)


def _place(device: torch.device) -> str:
    """The GPU's name in the world; the same for ranks that share it."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_properties(device).uuid)
    return f"{host_id(os.environ)} {device}"


def ranks_of_gpus(ranks: GpuRanks) -> tuple[int, ...]:
    """How many ranks each GPU of the job has; every rank calls it."""
    return tuple(Counter(ranks.gather(_place(ranks.device))).values())

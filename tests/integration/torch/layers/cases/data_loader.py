"""Workers of a DataLoader inside a job."""

from __future__ import annotations

import torch
import torch.distributed as dist
from integration.torch.layers.runner import Job
from torch.utils.data import DataLoader, Dataset, DistributedSampler


class Squares(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index), float(index) ** 2])


def fork(job: Job) -> None:
    _load(job, "fork")


def spawn(job: Job) -> None:
    _load(job, "spawn")


def _load(job: Job, method: str) -> None:
    """One epoch with workers, while the group is in use; each rank sees its part of the data."""
    dist.all_reduce(torch.ones(1000))  # connected before the workers start
    data = Squares()
    sampler = DistributedSampler(data, shuffle=False)
    loader = DataLoader(data, batch_size=4, sampler=sampler, num_workers=2, multiprocessing_context=method)
    total = torch.zeros(2)
    for rows in loader:
        part = rows.sum(dim=0)
        dist.all_reduce(part)
        total += part
    numbers = torch.arange(float(len(data)))
    assert torch.equal(total, torch.stack([numbers.sum(), numbers.square().sum()]))

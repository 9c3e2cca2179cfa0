"""A small classifier of scanned digits, trained on one process or on many with the same global batches."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from integration.torch.cases.common import join
from sklearn.datasets import load_digits
from torch import nn

__all__ = ["alone", "older", "plain"]

#: Of all ranks together; as many rows per rank for worlds of 1, 2 and 4.
GLOBAL_BATCH = 64
STEPS = {torch.float64: 100, torch.float32: 50}

Wrapped = nn.Module


def plain(_: str) -> None:
    """torch's DistributedDataParallel."""
    peers = join()
    _train_both(nn.parallel.DistributedDataParallel, peers.rank, peers.size)
    dist.destroy_process_group()


def older(_: str) -> None:
    """The older module's DistributedDataParallel."""
    import warnings

    warnings.simplefilter("ignore", FutureWarning)  # that the module is deprecated
    import smdistributed.dataparallel.torch.distributed as smdp
    from smdistributed.dataparallel.torch.parallel.distributed import DistributedDataParallel

    torch.set_num_threads(1)
    smdp.init_process_group()
    _train_both(DistributedDataParallel, smdp.get_rank(), smdp.get_world_size())
    smdp.destroy_process_group()


def alone(_: str) -> None:
    """One process, nothing distributed."""
    torch.set_num_threads(1)
    _train_both(lambda model: model, 0, 1)


def _train_both(wrap: Any, rank: int, size: int) -> None:
    for dtype, steps in STEPS.items():
        print(json.dumps({"dtype": str(dtype), **_train(wrap, dtype, steps, rank, size)}), flush=True)


def _train(wrap: Any, dtype: torch.dtype, steps: int, rank: int, size: int) -> dict[str, Any]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 10)).to(dtype)
    trained = wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for images, labels in itertools.islice(_batches(dtype), steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(trained(images[rank::size]), labels[rank::size])
        loss.backward()
        optimizer.step()
        losses.append(_average(loss.detach(), size))
    return {"losses": losses, "parameters": _values(model), "bits": _hash(model)}


def _average(loss: torch.Tensor, size: int) -> float:
    if size > 1:
        dist.all_reduce(loss, dist.ReduceOp.AVG)
    return float(loss)


def _batches(dtype: torch.dtype) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    digits = load_digits()
    images = torch.from_numpy(digits.data).to(dtype) / 16
    labels = torch.from_numpy(digits.target).long()
    generator = torch.Generator().manual_seed(2)
    while True:
        for rows in torch.randperm(len(labels), generator=generator).split(GLOBAL_BATCH)[:-1]:
            yield images[rows], labels[rows]


def _values(model: nn.Module) -> list[float]:
    """Some of the parameters, spread over all of them."""
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
    return flat[:: max(len(flat) // 200, 1)].tolist()


def _hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()

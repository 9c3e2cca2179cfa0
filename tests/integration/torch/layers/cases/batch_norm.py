"""SyncBatchNorm on CPU tensors: what torch itself allows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from integration.torch.layers.models import FEATURES, batch
from integration.torch.layers.runner import Job
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def converted() -> nn.Module:
    torch.manual_seed(5)
    return nn.SyncBatchNorm.convert_sync_batchnorm(
        nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).double()
    )


def evaluation(job: Job) -> object:
    model = converted()
    model[1].running_mean.fill_(3.0)
    model.eval()
    inputs, _ = batch(job, 0)
    return model(inputs).detach()


def training_is_refused(job: Job) -> object:
    """By torch, before it communicates, in the same words with every backend; alone and wrapped."""
    inputs, _ = batch(job, 0)
    return [refused(lambda: converted()(inputs)), refused(lambda: DistributedDataParallel(converted()))]


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except ValueError as refusal:
        assert "GPU" in str(refusal) or "cuda" in str(refusal), refusal
        return str(refusal)
    raise AssertionError("torch does this on CPU tensors now: compare its results")

"""torch's DistributedDataParallel with each of its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from integration.torch.layers.models import FEATURES, batch, deep, gradients, made, parameters, step
from integration.torch.layers.runner import Job
from torch import nn
from torch.nn.parallel import DistributedDataParallel

#: So small that these models have several buckets, and so small that each parameter has its own.
SEVERAL_MB, TINY_MB = 0.001, 1e-6


class Branches(nn.Module):
    """One of two branches, chosen by the caller; the third is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.even, self.odd, self.never = (nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.head = nn.Linear(FEATURES, 1)

    def forward(self, x: torch.Tensor, even: bool) -> torch.Tensor:
        return self.head(torch.tanh(self.even(x) if even else self.odd(x)))


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))


def trained(job: Job, model: nn.Module, **options: Any) -> list[object]:
    """Losses and gradients of three steps, and the parameters after them."""
    wrapped = DistributedDataParallel(model, bucket_cap_mb=options.pop("bucket_cap_mb", SEVERAL_MB), **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    results: list[object] = []
    for number in range(3):
        optimizer.zero_grad()
        results += [step(wrapped, job, number), gradients(model)]
        optimizer.step()
    return [*results, parameters(model)]


def plain(job: Job) -> object:
    return trained(job, made(deep))


def one_bucket(job: Job) -> object:
    return trained(job, made(deep), bucket_cap_mb=25)


def a_bucket_for_each_parameter(job: Job) -> object:
    return trained(job, made(deep), bucket_cap_mb=TINY_MB)


def gradient_as_bucket_view(job: Job) -> object:
    return trained(job, made(deep), gradient_as_bucket_view=True)


def static_graph(job: Job) -> object:
    return trained(job, made(deep), static_graph=True)


def initial_weights_of_rank_0(job: Job) -> object:
    torch.manual_seed(job.rank)
    return trained(job, deep().double())


def ignored_parameters(job: Job) -> object:
    model = made(deep)
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, ["2.weight"])
    return trained(job, model)


def find_unused_parameters(job: Job) -> object:
    """Ranks take different branches, and change them."""
    model = made(Branches)
    wrapped = DistributedDataParallel(model, find_unused_parameters=True, bucket_cap_mb=SEVERAL_MB)
    results = []
    for number in range(3):
        model.zero_grad()
        inputs, targets = batch(job, number)
        nn.functional.mse_loss(wrapped(inputs, (job.rank + number) % 2 == 0), targets).backward()
        results.append(gradients(model))
    return results


def broadcast_buffers(job: Job) -> object:
    """BatchNorm: each forward starts with the statistics of rank 0."""
    model = made(normalised)
    model[1].running_mean.fill_(job.rank + 1.0)
    return trained(job, model, broadcast_buffers=True), list(model.buffers())


def own_buffers(job: Job) -> object:
    """BatchNorm: each rank keeps its own statistics."""
    model = made(normalised)
    return trained(job, model, broadcast_buffers=False), list(model.buffers())


def no_sync(job: Job) -> object:
    """Gradients of two batches stay on the rank; the third synchronises."""
    results: list[object] = []
    for view in (False, True):
        model = made(deep)
        wrapped = DistributedDataParallel(model, bucket_cap_mb=SEVERAL_MB, gradient_as_bucket_view=view)
        with wrapped.no_sync():
            losses = [step(wrapped, job, number) for number in range(2)]
        results += [losses, gradients(model), step(wrapped, job, 2), gradients(model)]
    return results


def join_uneven_inputs(job: Job) -> object:
    """Ranks with fewer batches shadow the others' collectives."""
    results = []
    for divide_by_initial_world_size in (False, True):
        model = made(deep)
        wrapped = DistributedDataParallel(model, bucket_cap_mb=SEVERAL_MB)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        with wrapped.join(divide_by_initial_world_size=divide_by_initial_world_size):
            for number in range(2 + job.rank):
                optimizer.zero_grad()
                step(wrapped, job, number)
                optimizer.step()
        results.append(parameters(model))
    return results


def mixed_precision(job: Job) -> object:
    """torch runs this option with an accelerator only; the same refusal comes with every backend."""
    from torch.nn.parallel.distributed import _MixedPrecision

    precision = _MixedPrecision(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    return refused(lambda: trained(job, made(deep), mixed_precision=precision))


def optimizer_in_backward(job: Job) -> object:
    """As `mixed_precision`."""
    from torch.distributed.optim import _apply_optimizer_in_backward

    model = made(deep)
    _apply_optimizer_in_backward(torch.optim.SGD, model.parameters(), {"lr": 0.05})
    wrapped = DistributedDataParallel(model, bucket_cap_mb=SEVERAL_MB)
    return refused(lambda: step(wrapped, job, 0))


def refused(call: Callable[[], object]) -> str:
    """What torch says to processes without an accelerator."""
    try:
        call()
    except RuntimeError as refusal:
        assert "accelerator" in str(refusal) or "cpu backend" in str(refusal), refusal
        return str(refusal).splitlines()[0]
    raise AssertionError("torch does this without an accelerator now: compare its results")

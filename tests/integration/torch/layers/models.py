"""Small models, batches that any rank can compute for any other, and what a training leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from integration.torch.layers.runner import Job
from torch import nn

__all__ = ["FEATURES", "batch", "deep", "gradients", "made", "parameters", "step", "wide"]

ROWS, FEATURES = 6, 16

Tensors = list[torch.Tensor]


def deep() -> nn.Module:
    layers = [layer for _ in range(4) for layer in (nn.Linear(FEATURES, FEATURES), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(FEATURES, 1))


def wide() -> nn.Module:
    """Matrices that are worth compressing, and sizes that no world of 2 or 4 divides."""
    return nn.Sequential(nn.Linear(FEATURES, 61), nn.Tanh(), nn.Linear(61, 37), nn.Tanh(), nn.Linear(37, 1))


def made(make: Callable[[], nn.Module]) -> nn.Module:
    """The model with the same initial weights on every rank, in float64."""
    torch.manual_seed(5)
    return make().double()


def batch(job: Job, number: int, *, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a rank (default: this one)."""
    whose = job.rank if rank is None else rank
    generator = torch.Generator().manual_seed(1000 * (job.seed % 1000) + 100 * number + whose)
    return (
        torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64),
        torch.randn(ROWS, 1, generator=generator, dtype=torch.float64),
    )


def step(model: nn.Module, job: Job, number: int) -> torch.Tensor:
    """One forward and backward pass; returns the loss."""
    inputs, targets = batch(job, number)
    loss = nn.functional.mse_loss(model(inputs), targets)
    loss.backward()
    return loss.detach()


def gradients(model: nn.Module) -> list[torch.Tensor | None]:
    return [None if p.grad is None else p.grad.detach().clone() for p in model.parameters()]


def parameters(model: nn.Module) -> Tensors:
    return [parameter.detach().clone() for parameter in model.parameters()]

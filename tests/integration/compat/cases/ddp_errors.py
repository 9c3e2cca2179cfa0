"""Wrong use of DistributedDataParallel, and errors in the middle of a pass."""

from __future__ import annotations

import itertools

import torch
from integration.compat.cases.common import Step, check_again, perceptron, raises
from integration.compat.cases.ddp_graphs import Checkpointed, plain
from torch import nn
from torch.utils.checkpoint import checkpoint

import smdistributed.dataparallel.torch.distributed as smdp
from smdistributed.dataparallel.exceptions import (
    SMDDPArgumentError,
    SMDDPError,
    SMDDPMismatchError,
    SMDDPStateError,
)
from smdistributed.dataparallel.torch.parallel import DistributedDataParallel


def bad_arguments(rank: int, size: int) -> None:
    wrong: dict[str, dict[str, object]] = {
        "device_ids": {"device_ids": [0]},
        "output_device": {"output_device": 0},
        "group.WORLD": {"process_group": "mine"},
        "bucket_cap_mb": {"bucket_cap_mb": 0},
        "'many'": {"bucket_cap_mb": "many"},
        "gradient_accumulation_steps": {"gradient_accumulation_steps": 0},
    }
    for fragment, options in wrong.items():
        with raises(SMDDPArgumentError, "DistributedDataParallel", fragment):
            DistributedDataParallel(perceptron(), **options)
    with raises(SMDDPArgumentError, "torch.nn.Module", "got int"):
        DistributedDataParallel(3)
    with raises(SMDDPArgumentError, "gradient"):
        DistributedDataParallel(perceptron().requires_grad_(False))
    with raises(SMDDPArgumentError, "'weight'", "no shape yet"):
        DistributedDataParallel(nn.LazyLinear(3))


def good_arguments(rank: int, size: int) -> None:
    """All that scripts pass, in the original's order too."""
    for group in (None, smdp.group.WORLD, torch.distributed.group.WORLD):
        DistributedDataParallel(perceptron(), [], None, False, group, 25)
    wrapped = DistributedDataParallel(
        perceptron(), device_ids=None, find_unused_parameters=True, gradient_as_bucket_view=True
    )
    assert wrapped.process_group is torch.distributed.group.WORLD
    assert wrapped.gradient_accumulation_steps == 1


def modules_differ(rank: int, size: int) -> None:
    culprit = size - 1
    shape = nn.Linear(4, 3 if rank == culprit else 2)
    with raises(
        SMDDPMismatchError,
        "parameter 'weight'",
        f"(3, 4), dtype float32, trainable on rank {culprit}",
        "(2, 4)",
    ):
        DistributedDataParallel(shape)
    dtype = nn.Linear(4, 2, dtype=torch.float64 if rank == culprit else torch.float32)
    with raises(SMDDPMismatchError, f"float64, trainable on rank {culprit}"):
        DistributedDataParallel(dtype)
    count = nn.Linear(4, 2, bias=rank != culprit)
    with raises(SMDDPMismatchError, f"rank {culprit} lacks parameter 'bias'"):
        DistributedDataParallel(count)
    frozen = nn.Linear(4, 2)
    frozen.bias.requires_grad_(rank != culprit)
    with raises(SMDDPMismatchError, "'bias'", f"frozen on rank {culprit}"):
        DistributedDataParallel(frozen)


def frozen_on_one_rank_later(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron())
    plain(wrapped, rank)
    # All ranks change their layout, one of them otherwise.
    wrapped.module[0].weight.requires_grad_(False)
    wrapped.module[2].bias.requires_grad_(rank != 1)
    with raises(SMDDPMismatchError, "parameter '2.bias'", "frozen on rank 1"):
        plain(wrapped, rank)
    wrapped.requires_grad_(True).zero_grad()
    check_again(wrapped, plain, rank, size)


class Failing(torch.autograd.Function):
    """Identity whose backward raises."""

    @staticmethod
    def forward(_ctx: object, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(_ctx: object, *_gradients: torch.Tensor) -> torch.Tensor:
        message = "failed in the middle"
        raise ArithmeticError(message)


class Fragile(nn.Module):
    """Backward raises at the place named by `fails_at`, if any: "top", before the first gradient, or "middle"."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.first = nn.Linear(6, 5, dtype=torch.float64)
        self.last = nn.Linear(5, 3, dtype=torch.float64)
        self.fails_at = ""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(inputs))
        output = self.last(Failing.apply(hidden) if self.fails_at == "middle" else hidden)
        return Failing.apply(output) if self.fails_at == "top" else output


class FragileCheckpointed(Fragile):
    """All layers are recomputed in a backward pass inside the backward pass: the outer one sees no parameter."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return checkpoint(super().forward, inputs.requires_grad_(), use_reentrant=True)


def numbered(number: int, size: int) -> Step:
    """A step whose data no other step has, on any rank."""
    return lambda module, of_rank: plain(module, of_rank + size * number)


def all_ranks_fail(rank: int, size: int) -> None:
    for make, place, cap in itertools.product((Fragile, FragileCheckpointed), ("middle", "top"), (None, 0.0001)):
        wrapped = DistributedDataParallel(make(), bucket_cap_mb=cap)
        for number in range(2):
            wrapped.module.fails_at = place
            with raises(ArithmeticError):
                plain(wrapped, rank)
            wrapped.module.fails_at = ""
            wrapped.zero_grad()
            check_again(wrapped, numbered(number, size), rank, size)


def one_rank_fails(rank: int, size: int) -> None:
    """The others are told who failed, the failing rank is told too, and then all go on, in step."""
    for make, place, cap in itertools.product((Fragile, FragileCheckpointed), ("middle", "top"), (None, 0.0001)):
        wrapped = DistributedDataParallel(make(), bucket_cap_mb=cap)
        check_again(wrapped, numbered(0, size), rank, size)
        if rank == 1:
            wrapped.module.fails_at = place
            with raises(ArithmeticError):
                numbered(1, size)(wrapped, rank)
            wrapped.module.fails_at = ""
        with raises(SMDDPMismatchError, "rank 1 abandoned a backward pass"):
            numbered(2 if rank == 1 else 1, size)(wrapped, rank)
        for number in (3, 4):
            wrapped.zero_grad()
            check_again(wrapped, numbered(number, size), rank, size)


def one_rank_fails_then_no_sync(rank: int, size: int) -> None:
    """The pass that was given up does not make a later one inside no_sync() average."""
    wrapped = DistributedDataParallel(Fragile())
    if rank == 1:
        wrapped.module.fails_at = "top"
        with raises(ArithmeticError):
            plain(wrapped, rank)
        wrapped.module.fails_at = ""
    with raises(SMDDPMismatchError, "rank 1 abandoned"):
        plain(wrapped, rank)
    wrapped.zero_grad()
    before = wrapped._reducer.statistics.launched
    with wrapped.no_sync():
        plain(wrapped, rank)
    assert wrapped._reducer.statistics.launched == before
    wrapped.zero_grad()
    check_again(wrapped, plain, rank, size)


def one_rank_fails_between_reductions(rank: int, size: int) -> None:
    """A pass that averages nothing is counted also where it fails: the next one averages on all ranks."""
    for place in ("middle", "top"):
        wrapped = DistributedDataParallel(Fragile(), gradient_accumulation_steps=2)
        wrapped.module.fails_at = place if rank == 1 else ""
        if rank == 1:
            with raises(ArithmeticError):
                plain(wrapped, rank)
        else:
            plain(wrapped, rank)
        wrapped.module.fails_at = ""
        wrapped.zero_grad()
        for number in (1, 3):
            check_again(wrapped, numbered(number, size), rank, size)
            wrapped.zero_grad()
            plain(wrapped, rank)
            wrapped.zero_grad()


def gradient_after_launch(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(Checkpointed(reentrant=True, shared=True), bucket_cap_mb=0.0001)
    with raises(SMDDPStateError, "parameter 'first.", "static_graph=True"):
        plain(wrapped, rank)
    with raises(SMDDPStateError):
        plain(wrapped, rank)


def gradient_after_launch_unshared(rank: int, size: int) -> None:
    """The outer backward does not reach layers that an inner one will: looking for unused ones misleads."""
    wrapped = DistributedDataParallel(Checkpointed(reentrant=True, shared=False), find_unused_parameters=True)
    with raises(SMDDPStateError, "parameter 'second.", "use_reentrant=False"):
        plain(wrapped, rank)
    for reentrant in (False, True):
        module = Checkpointed(reentrant=reentrant, shared=False)
        wrapped = DistributedDataParallel(module, find_unused_parameters=True, static_graph=reentrant)
        for number in range(2):
            check_again(wrapped, numbered(number, size), rank, size)
            wrapped.zero_grad()


def hooks_of_the_user_fail(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron())

    def fail(_gradient: torch.Tensor) -> None:
        message = "hook"
        raise LookupError(message)

    handle = wrapped.module[0].weight.register_hook(fail)
    with raises(LookupError):
        plain(wrapped, rank)
    handle.remove()
    wrapped.zero_grad()
    check_again(wrapped, plain, rank, size)
    assert issubclass(SMDDPMismatchError, SMDDPError)

"""Backward passes of all shapes: unused parameters, several passes, checkpointing."""

from __future__ import annotations

import copy
import warnings

import torch
from integration.compat.cases.common import (
    assert_gradients,
    batch,
    check_again,
    check_step,
    expected_gradients,
    perceptron,
)
from torch import nn
from torch.utils.checkpoint import checkpoint

from smdistributed.dataparallel.torch.parallel import DistributedDataParallel


class Branches(nn.Module):
    """One trunk, one branch per rank, and one branch that nobody takes."""

    def __init__(self, count: int) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.trunk = nn.Linear(6, 4)
        self.branches = nn.ModuleList(nn.Linear(4, 2) for _ in range(count))
        self.idle = nn.Linear(4, 2)
        self.double()

    def forward(self, inputs: torch.Tensor, branch: int) -> dict[str, torch.Tensor]:
        return {"out": self.branches[branch](torch.tanh(self.trunk(inputs)))}


def own_branch(module: nn.Module, rank: int) -> None:
    module(batch(rank, 3, 6), rank)["out"].square().sum().backward()


def plain(module: nn.Module, rank: int) -> None:
    module(batch(rank, 5, 6)).square().mean().backward()


# --- Unused parameters -------------------------------------------------------------------------------------


def unused_differ_per_rank(rank: int, size: int) -> None:
    for options in ({}, {"find_unused_parameters": True}, {"gradient_as_bucket_view": True}):
        for cap in (None, 0.0001):
            wrapped = check_step(Branches(size), own_branch, rank, size, bucket_cap_mb=cap, **options)
            assert wrapped.module.idle.weight.grad is None
            # Again, on top of the gradients that are there: they belong to the average.
            check_again(wrapped, own_branch, rank, size)


def unused_in_turn(rank: int, size: int) -> None:
    """Another branch per step; gradients of earlier steps stay as they are."""
    wrapped = DistributedDataParallel(Branches(size), bucket_cap_mb=0.0001)
    for turn in range(3):

        def step(module: nn.Module, of_rank: int, turn: int = turn) -> None:
            module(batch(of_rank, 3, 6), turn % size)["out"].square().sum().backward()

        check_again(wrapped, step, rank, size)
        if turn == 1:
            wrapped.zero_grad()


def rank_without_any_parameter(rank: int, size: int) -> None:
    """A rank whose backward reaches one parameter only, in the bucket that goes last."""

    def step(module: nn.Module, of_rank: int) -> None:
        if of_rank == 0:
            bias = module.module[0].bias if isinstance(module, DistributedDataParallel) else module[0].bias
            bias.sum().backward()
        else:
            plain(module, of_rank)

    check_step(perceptron(), step, rank, size, bucket_cap_mb=0.0001)


class Shortcut(nn.Linear):
    """Hands its input on, unless it is told to work."""

    def forward(self, inputs: torch.Tensor, works: bool) -> torch.Tensor:
        return super().forward(inputs) if works else inputs * 2


def rank_without_parameters(rank: int, size: int) -> None:
    """A rank whose backward passes the module's output and reaches no parameter takes part with zeros."""
    torch.manual_seed(3)
    wrapped = DistributedDataParallel(Shortcut(6, 2, dtype=torch.float64))
    for idle in range(3):

        def step(module: nn.Module, of_rank: int, idle: int = idle) -> None:
            inputs = batch(of_rank + size * idle, 3, 6).requires_grad_()
            module(inputs, of_rank != idle).square().sum().backward()

        check_again(wrapped, step, rank, size)
        wrapped.zero_grad()


def unused_parameters_keep_overlap(rank: int, size: int) -> list[int]:
    module = Branches(size)
    counts = []
    for find_unused in (False, True):
        wrapped = DistributedDataParallel(
            copy.deepcopy(module), bucket_cap_mb=0.0001, find_unused_parameters=find_unused
        )
        own_branch(wrapped, rank)
        counts.append(wrapped._reducer.statistics.overlapped)
    assert counts[0] == 0  # `idle` comes first in backward, and is waited for to the end
    assert counts[1] == wrapped._reducer.statistics.launched
    return counts


def overlap(rank: int, size: int) -> None:
    """All buckets are under way when backward ends, and the first ones before the last layers."""
    wrapped = DistributedDataParallel(perceptron(), bucket_cap_mb=0.0001)
    launched = []
    wrapped.module[0].weight.register_hook(lambda _: launched.append(wrapped._reducer.statistics.launched))
    plain(wrapped, rank)
    statistics = wrapped._reducer.statistics
    assert statistics.launched == statistics.overlapped == len(wrapped._reducer.refresh().buckets) > 2
    assert launched[0] >= 2, launched


# --- Several passes ----------------------------------------------------------------------------------------


def no_sync(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron())
    local = expected_gradients(wrapped.module, lambda module, _: plain(module, rank), 1)
    with wrapped.no_sync():
        plain(wrapped, rank)
    for parameter, gradient in zip(wrapped.parameters(), local, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert wrapped._reducer.statistics.launched == 0
    # expected_gradients starts from this rank's gradients, which differ here: sum up instead.
    wrapped.zero_grad()

    def two_passes(module: nn.Module, of_rank: int) -> None:
        plain(module, of_rank)
        plain(module, of_rank + size)

    expected = expected_gradients(wrapped.module, two_passes, size)
    with wrapped.no_sync():
        plain(wrapped, rank)
        assert not wrapped.require_backward_grad_sync
    plain(wrapped, rank + size)
    assert_gradients(wrapped.module, expected)


def no_sync_reaches_other_parameters(rank: int, size: int) -> None:
    """A branch taken only inside no_sync() is averaged by the pass that follows."""
    wrapped = DistributedDataParallel(Branches(size + 1))

    def step(module: nn.Module, of_rank: int) -> None:
        own_branch(module, of_rank)
        module(batch(of_rank, 2, 6), size)["out"].sum().backward()

    expected = expected_gradients(wrapped.module, step, size)
    with wrapped.no_sync():
        own_branch(wrapped, rank)
    wrapped(batch(rank, 2, 6), size)["out"].sum().backward()
    assert_gradients(wrapped.module, expected)


def forward_decides(rank: int, size: int) -> None:
    """As in torch: the forward pass, not the backward pass, has to be inside no_sync()."""
    wrapped = DistributedDataParallel(perceptron())
    expected = expected_gradients(wrapped.module, plain, size)
    loss = wrapped(batch(rank, 5, 6)).square().mean()
    with wrapped.no_sync():
        loss.backward()
    assert_gradients(wrapped.module, expected)
    wrapped.zero_grad()
    with wrapped.no_sync():
        loss = wrapped(batch(rank, 5, 6)).square().mean()
    loss.backward()
    assert wrapped._reducer.statistics.reductions == 1


def accumulation_steps(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron(), gradient_accumulation_steps=3)
    for round_ in range(2):
        wrapped.zero_grad()

        def passes(module: nn.Module, of_rank: int, round_: int = round_) -> None:
            for item in range(3):
                plain(module, of_rank + size * (3 * round_ + item))

        expected = expected_gradients(wrapped.module, passes, size)
        passes(wrapped, rank)
        assert_gradients(wrapped.module, expected)
        assert wrapped._reducer.statistics.reductions == round_ + 1


def several_backward_passes(rank: int, size: int) -> None:
    def retained(module: nn.Module, of_rank: int) -> None:
        loss = module(batch(of_rank, 5, 6)).square().mean()
        loss.backward(retain_graph=True)
        loss.backward()

    def two_losses(module: nn.Module, of_rank: int) -> None:
        output = module(batch(of_rank, 5, 6))
        output.square().mean().backward(retain_graph=True)
        output.abs().sum().backward()

    def two_forwards_one_backward(module: nn.Module, of_rank: int) -> None:
        (module(batch(of_rank, 5, 6)).sum() + module(batch(of_rank + 50, 3, 6)).square().sum()).backward()

    def two_forwards_two_backwards(module: nn.Module, of_rank: int) -> None:
        first, second = module(batch(of_rank, 5, 6)).sum(), module(batch(of_rank + 50, 3, 6)).square().sum()
        second.backward()
        first.backward()

    for step in (retained, two_losses, two_forwards_one_backward, two_forwards_two_backwards):
        check_step(perceptron(), step, rank, size, bucket_cap_mb=0.0005)


def two_forwards_with_batch_norm(rank: int, size: int) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)).double()

    def step(module: nn.Module, of_rank: int) -> None:
        (module(batch(of_rank, 5, 6)).square().sum() + module(batch(of_rank + 9, 5, 6)).abs().sum()).backward()

    wrapped = check_step(module, step, rank, size)
    wrapped.zero_grad()
    check_again(wrapped, step, rank, size)


def input_gradients_only(rank: int, size: int) -> None:
    """autograd.grad for inputs is no backward pass of the module, also when one rank does it alone."""
    wrapped = DistributedDataParallel(perceptron())

    def penalty(module: nn.Module, of_rank: int) -> torch.Tensor:
        inputs = batch(of_rank, 4, 6).requires_grad_()
        (gradient,) = torch.autograd.grad(module(inputs).sum(), inputs, create_graph=True)
        return gradient.square().sum()

    if rank == 0:
        penalty(wrapped, rank)
    assert wrapped._reducer.statistics.launched == 0
    check_again(wrapped, lambda module, of_rank: penalty(module, of_rank).backward(), rank, size)


def gradients_for_parameters_only(rank: int, size: int) -> None:
    """autograd.grad for parameters returns what this rank alone gets, and writes no `.grad`."""
    for find_unused in (False, True):
        wrapped = DistributedDataParallel(perceptron(), find_unused_parameters=find_unused, bucket_cap_mb=0.0001)
        lone = copy.deepcopy(wrapped.module)
        plain(lone, rank)
        parameters = list(wrapped.parameters())
        if rank == 0:
            for count in (len(parameters), 2):
                loss = wrapped(batch(rank, 5, 6)).square().mean()
                found = torch.autograd.grad(loss, parameters[:count])
                assert all(torch.equal(a, b.grad) for a, b in zip(found, lone.parameters(), strict=False))
        assert all(parameter.grad is None for parameter in parameters)
        assert wrapped._reducer.statistics.launched == 0
        check_again(wrapped, plain, rank, size)
        loss = wrapped(batch(rank, 5, 6)).square().mean()
        wrapped.zero_grad()
        expected = expected_gradients(wrapped.module, plain, size)
        loss.backward(inputs=parameters)
        assert_gradients(wrapped.module, expected)


def create_graph(rank: int, size: int) -> None:
    def step(module: nn.Module, of_rank: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch advises against it
            module(batch(of_rank, 4, 6)).square().mean().backward(create_graph=True)

    wrapped = DistributedDataParallel(perceptron())
    expected = expected_gradients(wrapped.module, step, size)
    expected = [None if gradient is None else gradient.detach() for gradient in expected]
    step(wrapped, rank)
    assert_gradients(wrapped.module, expected)
    assert not any(parameter.grad.requires_grad for parameter in wrapped.parameters())


def wrapped_module_called_directly(rank: int, size: int) -> None:
    """`ddp.module(...)` bypasses forward; gradients are averaged all the same."""

    def step(module: nn.Module, of_rank: int) -> None:
        inner = module.module if isinstance(module, DistributedDataParallel) else module
        plain(inner, of_rank)

    wrapped = check_step(perceptron(), step, rank, size)
    with wrapped.no_sync():
        plain(wrapped.module, rank)
    assert wrapped._reducer.statistics.reductions == 1


# --- Checkpointing -----------------------------------------------------------------------------------------


class Checkpointed(nn.Module):
    """Layers recomputed in backward; the reentrant kind runs a backward pass inside the backward pass."""

    def __init__(self, *, reentrant: bool, shared: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first = nn.Linear(6, 6, dtype=torch.float64)
        self.second = self.first if shared else nn.Linear(6, 6, dtype=torch.float64)
        self.last = nn.Linear(6, 2, dtype=torch.float64)
        self.reentrant = reentrant

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = inputs.requires_grad_()
        for layer in (self.first, self.second):
            hidden = checkpoint(
                lambda value, layer=layer: torch.tanh(layer(value)), hidden, use_reentrant=self.reentrant
            )
        return self.last(hidden)


def checkpointing(rank: int, size: int) -> None:
    for reentrant, shared in ((False, False), (False, True), (True, False)):
        module = Checkpointed(reentrant=reentrant, shared=shared)
        wrapped = check_step(module, plain, rank, size, bucket_cap_mb=0.0001)
        assert wrapped._reducer.statistics.reductions == 1


def checkpointing_shared_reentrant(rank: int, size: int) -> None:
    """Gradients in instalments: static_graph counts them in the first pass and overlaps in the next."""
    module = Checkpointed(reentrant=True, shared=True)
    wrapped = check_step(module, plain, rank, size, bucket_cap_mb=0.0001, static_graph=True)
    assert wrapped._reducer.statistics.overlapped == 0
    wrapped.zero_grad()
    check_again(wrapped, plain, rank, size)
    assert wrapped._reducer.statistics.overlapped == wrapped._reducer.statistics.launched / 2 > 0


def static_graph_with_unused(rank: int, size: int) -> None:
    wrapped = check_step(Branches(size), own_branch, rank, size, bucket_cap_mb=0.0001, static_graph=True)
    wrapped.zero_grad()
    check_again(wrapped, own_branch, rank, size)

"""Whole trainings: several ranks against one process that sees the global batch."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import torch
from integration.compat.cases.common import assert_same_bits, batch, perceptron
from torch import nn

import smddpcommon as hm
from smdistributed.dataparallel.torch.parallel import DistributedDataParallel

STEPS = 20
PER_RANK = 4


def parity_float64(rank: int, size: int) -> float:
    return _parity(perceptron(), rank, size, tolerance=1e-10)


def parity_with_small_buckets(rank: int, size: int) -> float:
    return _parity(perceptron(), rank, size, tolerance=1e-10, bucket_cap_mb=0.0005)


def parity_with_bucket_views(rank: int, size: int) -> float:
    return _parity(perceptron(), rank, size, tolerance=1e-10, gradient_as_bucket_view=True)


def parity_mixed_dtypes(rank: int, size: int) -> float:
    return _parity(MixedDtypes(), rank, size, tolerance=1e-5)


def parity_tied_weights(rank: int, size: int) -> float:
    return _parity(TiedWeights(), rank, size, tolerance=1e-10)


def parity_overridden_forward(rank: int, size: int) -> float:
    return _parity(perceptron(), rank, size, tolerance=1e-10, wrapper=OwnForward)


def parity_accumulated(rank: int, size: int) -> float:
    """gradient_accumulation_steps=2 with the loss halved is a step on twice the batch."""
    lone = perceptron()
    wrapped = DistributedDataParallel(copy.deepcopy(lone), gradient_accumulation_steps=2)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) for model in (lone, wrapped)]
    for step in range(STEPS):
        for optimizer in optimizers:
            optimizer.zero_grad()
        for half in range(2):
            inputs, targets = _global_batch(2 * step + half, size)
            (_loss(lone, inputs, targets) / 2).backward()
            (_loss(wrapped, inputs[_mine(rank)], targets[_mine(rank)]) / 2).backward()
        for optimizer in optimizers:
            optimizer.step()
    return _compare(lone, wrapped, 1e-10)


class MixedDtypes(nn.Module):
    """Layers of three dtypes in one model."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(6, 8)
        self.middle = nn.Linear(8, 8).double()
        self.scale = nn.Parameter(torch.ones(8, dtype=torch.float64))
        self.last = nn.Linear(8, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(inputs.float())).double()
        return self.last(torch.tanh(self.middle(hidden) * self.scale).float()).double()


class TiedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.encode = nn.Linear(6, 6, dtype=torch.float64)
        self.decode = nn.Linear(6, 6, dtype=torch.float64)
        self.decode.weight = self.encode.weight
        self.out = nn.Linear(6, 3, dtype=torch.float64)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.out(self.decode(torch.tanh(self.encode(inputs))))


class OwnForward(DistributedDataParallel):
    """As users subclass it: a forward of their own that bypasses ours."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.module(inputs)


def _parity(
    lone: nn.Module,
    rank: int,
    size: int,
    *,
    tolerance: float,
    wrapper: type[DistributedDataParallel] = DistributedDataParallel,
    **options: object,
) -> float:
    replica = copy.deepcopy(lone)
    if rank != 0:
        with torch.no_grad():
            for parameter in replica.parameters():
                parameter.add_(rank)  # construction has to undo this
    wrapped = wrapper(replica, **options)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) for model in (lone, wrapped)]
    for step in range(STEPS):
        inputs, targets = _global_batch(step, size)
        for optimizer in optimizers:
            optimizer.zero_grad()
        _loss(lone, inputs, targets).backward()
        _loss(wrapped, inputs[_mine(rank)], targets[_mine(rank)]).backward()
        for optimizer in optimizers:
            optimizer.step()
    return _compare(lone, wrapped, tolerance)


def _compare(lone: nn.Module, wrapped: DistributedDataParallel, tolerance: float) -> float:
    errors = [
        ((ours - theirs).abs().max() / ours.abs().max()).item()
        for ours, theirs in zip(lone.parameters(), wrapped.module.parameters(), strict=True)
    ]
    assert max(errors) <= tolerance, errors
    assert_same_bits(*wrapped.parameters())
    return max(errors)


def _global_batch(step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return batch(2 * step, size * PER_RANK, 6), batch(2 * step + 1, size * PER_RANK, 3)


def _mine(rank: int) -> slice:
    return slice(rank * PER_RANK, (rank + 1) * PER_RANK)


def _loss(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(model(inputs), targets)


# --- Buffers -----------------------------------------------------------------------------------------------


def _normalizing() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()


def _buffer_states(rank: int, steps: int, **options: object) -> Iterator[torch.Tensor]:
    """The running mean after each training forward."""
    wrapped = DistributedDataParallel(_normalizing(), **options)
    for step in range(steps):
        wrapped(batch(10 * step + rank, 8, 6)).sum().backward()
        yield wrapped.module[1].running_mean.clone()


def broadcast_buffers(rank: int, size: int) -> None:
    """Each step starts from rank 0's buffers, so rank 0 sees what it would see alone."""
    lone = _normalizing()
    for step, running_mean in enumerate(_buffer_states(rank, 5)):
        before = lone[1].running_mean.clone(), copy.deepcopy(lone.state_dict())
        lone(batch(10 * step + rank, 8, 6))
        torch.testing.assert_close(running_mean, lone[1].running_mean, rtol=1e-12, atol=1e-14)
        lone.load_state_dict(before[1])
        lone(batch(10 * step, 8, 6))  # rank 0's batch leads to the next step


def buffers_left_alone(rank: int, size: int) -> None:
    lone = _normalizing()
    for step, running_mean in enumerate(_buffer_states(rank, 3, broadcast_buffers=False)):
        lone(batch(10 * step + rank, 8, 6))
        torch.testing.assert_close(running_mean, lone[1].running_mean, rtol=1e-12, atol=1e-14)


def evaluation_needs_no_other_rank(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(_normalizing())
    for _ in range(2):
        wrapped(batch(rank, 8, 6)).sum().backward()
    if rank == 0:
        wrapped.eval()
        wrapped(batch(1, 8, 6)).sum().item()
        with torch.no_grad():
            wrapped(batch(1, 8, 6))
            wrapped.train()(batch(1, 8, 6))
    wrapped.train()
    wrapped(batch(rank, 8, 6)).sum().backward()
    assert_same_bits(*(parameter.grad for parameter in wrapped.parameters()))


def buffers_of_every_kind(rank: int, size: int) -> None:
    """Several dtypes, odd sizes and strides share messages."""
    module = nn.Linear(2, 2)
    originals = {
        "flag": torch.tensor([True, False, True]),
        "count": torch.tensor(41),
        "half_precision": torch.arange(5, dtype=torch.float16),
        "wide": torch.arange(6, dtype=torch.float64).view(2, 3).t(),
        "complex_numbers": torch.tensor([1 + 2j, 3 - 1j]),
        "empty": torch.empty(0),
    }
    for name, value in originals.items():
        module.register_buffer(name, value.clone() if rank == 0 else torch.zeros_like(value))
    DistributedDataParallel(module)
    for name, value in originals.items():
        assert torch.equal(module.get_buffer(name), value), name


def large_tensors(rank: int, size: int) -> None:
    """Parameters above the message size, with small ones around them."""
    module = nn.ParameterList([torch.full((count,), float(rank)) for count in (3, 300_000, 5, 600_000, 1)])
    wrapped = DistributedDataParallel(module, bucket_cap_mb=1)
    assert all(not parameter.any() for parameter in wrapped.parameters())
    terms = [(parameter * (rank + 1)).sum() for parameter in itertools.chain(module)]
    torch.stack(terms).sum().backward()
    for parameter in module:
        assert parameter.grad is not None
        assert parameter.grad.unique().tolist() == [(size + 1) / 2]


def bucket_size_of_later_wrappers(rank: int, size: int) -> None:
    """As with `bucket_cap_mb`, which goes before it."""

    def buckets(**options: object) -> int:
        module = nn.ParameterList([torch.full((1000,), float(rank)) for _ in range(10)])
        wrapped = DistributedDataParallel(module, **options)
        torch.stack([parameter.sum() * (rank + 1) for parameter in module]).sum().backward()
        assert all(parameter.grad.unique().tolist() == [(size + 1) / 2] for parameter in module)
        return wrapped._reducer.statistics.launched

    assert buckets() == 1
    assert DistributedDataParallel(nn.Linear(1, 1))._options.bucket_cap_bytes == 25 * 1024 * 1024
    try:
        hm.setBucketSize(2 * 4000)
        assert buckets() == 5
        assert buckets(bucket_cap_mb=25) == 1
    finally:
        hm.setBucketSize(25 * 1024 * 1024)
    assert buckets() == 1

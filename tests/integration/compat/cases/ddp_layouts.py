"""What may happen to a wrapped module: cast, moved, frozen, copied, wrapped again; and tensors of all kinds."""

from __future__ import annotations

import copy
import io
import pickle

import torch
from integration.compat.cases.common import assert_same_bits, batch, check_again, check_step, perceptron
from integration.compat.cases.ddp_graphs import plain
from torch import nn

from smdistributed.dataparallel.torch.parallel import DistributedDataParallel

# --- Dtypes and layouts ------------------------------------------------------------------------------------


def cast_after_wrapping(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron(torch.float32))
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float64):
        wrapped.to(dtype)
        wrapped.zero_grad()
        wrapped(batch(rank, 5, 6).to(dtype)).sum().backward()
        gradients = [parameter.grad for parameter in wrapped.parameters()]
        assert all(gradient is not None and gradient.dtype is dtype for gradient in gradients)
        assert_same_bits(*gradients)
    wrapped.double().zero_grad()
    check_again(wrapped, plain, rank, size)
    wrapped.module.float()
    wrapped.half()
    wrapped.module.double()
    wrapped.zero_grad()
    check_again(wrapped, plain, rank, size)


def parameters_replaced(rank: int, size: int) -> None:
    """As torch.__future__.set_overwrite_module_params_on_conversion does."""
    wrapped = DistributedDataParallel(perceptron(torch.float32))
    before = next(wrapped.parameters())
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        wrapped.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    assert next(wrapped.parameters()) is not before
    check_again(wrapped, plain, rank, size)


def frozen_in_turn(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron(), bucket_cap_mb=0.0001)
    for frozen in ((), (0,), (2, 4), (0,), (0, 2, 4), ()):
        for position in (0, 2, 4):
            wrapped.module[position].requires_grad_(position not in frozen)
        wrapped.zero_grad()
        if len(frozen) == 3:
            inputs = batch(rank, 5, 6).requires_grad_()
            wrapped(inputs).sum().backward()  # passes through, as a discriminator's does for its generator
            assert inputs.grad is not None
        else:
            check_again(wrapped, plain, rank, size)


def complex_parameters(rank: int, size: int) -> None:
    module = nn.ParameterDict(
        {
            "odd": nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)),
            "complex": nn.Parameter(torch.full((2, 3), 1 + 2j, dtype=torch.complex128)),
            "last": nn.Parameter(torch.ones(1, dtype=torch.float64)),
        }
    )

    def step(module: nn.Module, of_rank: int) -> None:
        inner = module.module if isinstance(module, DistributedDataParallel) else module
        weights = torch.complex(batch(of_rank, 2, 3), batch(of_rank + 1, 2, 3))
        loss = (inner["complex"] * weights).abs().square().sum() + inner["odd"].sum() * of_rank + inner["last"].sum()
        loss.backward()

    check_step(module, step, rank, size)


def sparse_gradients(rank: int, size: int) -> None:
    torch.manual_seed(9)
    module = nn.Sequential(nn.Embedding(10, 3, sparse=True), nn.Linear(3, 2)).double()

    def step(module: nn.Module, of_rank: int) -> None:
        module(torch.tensor([of_rank, of_rank + 2, of_rank])).square().sum().backward()

    wrapped = check_step(module, step, rank, size)
    assert wrapped.module[0].weight.grad.layout is torch.sparse_coo
    torch.optim.SparseAdam([wrapped.module[0].weight]).step()
    assert_same_bits(wrapped.module[0].weight)


def channels_last(rank: int, size: int) -> None:
    torch.manual_seed(6)
    module = nn.Conv2d(3, 4, 3).double().to(memory_format=torch.channels_last)

    def step(module: nn.Module, of_rank: int) -> None:
        module(batch(of_rank, 2, 3, 5, 5)).square().sum().backward()

    check_step(module, step, rank, size)
    check_step(copy.deepcopy(module), step, rank, size, gradient_as_bucket_view=True)


def bucket_views(rank: int, size: int) -> None:
    wrapped = check_step(perceptron(), plain, rank, size, gradient_as_bucket_view=True)
    pointers = [parameter.grad.data_ptr() for parameter in wrapped.parameters()]
    for set_to_none in (False, True):
        wrapped.zero_grad(set_to_none=set_to_none)
        check_again(wrapped, plain, rank, size)
        assert [parameter.grad.data_ptr() for parameter in wrapped.parameters()] == pointers


# --- Copies ------------------------------------------------------------------------------------------------


def copies(rank: int, size: int) -> None:
    """A copy is on its own until its first training step, and then joins the job like the original."""
    wrapped = DistributedDataParallel(perceptron(), bucket_cap_mb=1)
    plain(wrapped, rank)
    stream = io.BytesIO()
    torch.save(wrapped, stream)
    stream.seek(0)
    for clone in (
        copy.deepcopy(wrapped),
        pickle.loads(pickle.dumps(wrapped)),
        torch.load(stream, weights_only=False),
    ):
        if rank == 0:
            clone(batch(0, 2, 6))
        clone.zero_grad()
        check_again(clone, plain, rank, size)
    launched = wrapped._reducer.statistics.launched
    wrapped.zero_grad()
    check_again(wrapped, plain, rank, size)
    assert wrapped._reducer.statistics.launched == 2 * launched


def state_dict_keys(rank: int, size: int) -> None:
    wrapped = DistributedDataParallel(perceptron())
    assert set(wrapped.state_dict()) == {f"module.{key}" for key in wrapped.module.state_dict()}
    wrapped.load_state_dict(torch.nn.parallel.DistributedDataParallel(perceptron()).state_dict())


def wrapped_again(rank: int, size: int) -> None:
    """A discarded wrapper does not average any more."""
    module = DistributedDataParallel(perceptron()).module
    wrapped = check_step(module, plain, rank, size)
    assert wrapped._reducer.statistics.reductions == 1

"""DTensor, tensor parallel and sequence parallel."""

from __future__ import annotations

import itertools

import torch
from integration.torch.layers.models import FEATURES, batch, made
from integration.torch.layers.runner import Job
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)

SHAPE = (8, 12)
#: Neither 2 nor 4 divides it.
UNEVEN = (7, 9)


class Block(nn.Module):
    """The feed-forward part of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(FEATURES)
        self.up, self.down = nn.Linear(FEATURES, 24), nn.Linear(24, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.tanh(self.up(self.norm(x))))


def line(job: Job) -> DeviceMesh:
    return init_device_mesh("cpu", (job.size,))


def numbers(job: Job, shape: tuple[int, ...], which: int = 0) -> torch.Tensor:
    """The same on all ranks."""
    generator = torch.Generator().manual_seed(job.seed % 1000 + which)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def redistribute(job: Job) -> object:
    """From every placement to every other."""
    results: list[torch.Tensor] = []
    for shape in (SHAPE, UNEVEN):
        for before, after in itertools.permutations((Replicate(), Shard(0), Shard(1)), 2):
            tensor = distribute_tensor(numbers(job, shape), line(job), [before])
            moved = tensor.redistribute(placements=[after])
            results += [moved.to_local(), moved.full_tensor()]
            assert torch.equal(moved.full_tensor(), numbers(job, shape)), f"{before} to {after}"
    return results


def partial_sums(job: Job) -> object:
    results = []
    for kind in ("sum", "avg", "max", "min"):
        for after in (Replicate(), Shard(0), Shard(1)):
            own = numbers(job, SHAPE, which=1 + job.rank)
            results.append(
                DTensor.from_local(own, line(job), [Partial(kind)]).redistribute(placements=[after]).to_local()
            )
    return results


def matmul(job: Job) -> object:
    """Operands in every placement, with gradients."""
    results = []
    for left, right in itertools.product((Replicate(), Shard(0), Shard(1)), repeat=2):
        a = distribute_tensor(numbers(job, SHAPE, 0), line(job), [left]).requires_grad_()
        b = distribute_tensor(numbers(job, SHAPE[::-1], 1), line(job), [right]).requires_grad_()
        product = a @ b
        product.sum().backward()
        results += [product.full_tensor().detach(), a.grad.full_tensor(), b.grad.full_tensor()]
    return results


def random_and_reductions(job: Job) -> object:
    tensor = distribute_tensor(numbers(job, UNEVEN), line(job), [Shard(0)])
    return [
        tensor.sum().full_tensor(),
        tensor.mean(dim=0).full_tensor(),
        tensor.max().full_tensor(),
        tensor.norm().full_tensor(),
        torch.nn.functional.softmax(tensor, dim=0).full_tensor(),
    ]


def tensor_parallel(job: Job) -> object:
    """Columns of the first layer and rows of the second on one rank each."""
    torch.manual_seed(5)
    block = Block().double()
    parallelize_module(block, line(job), {"up": ColwiseParallel(), "down": RowwiseParallel()})
    inputs, _ = batch(job, 0, rank=0)
    output = block(inputs)
    output.square().sum().backward()
    return output.detach(), whole_gradients(block)


def sequence_parallel(job: Job) -> object:
    """The norm sees a part of the sequence, the matrices all of it."""
    torch.manual_seed(5)
    block = Block().double()
    plan = {
        "norm": SequenceParallel(),
        "up": ColwiseParallel(input_layouts=Shard(1)),
        "down": RowwiseParallel(output_layouts=Shard(1)),
    }
    parallelize_module(block, line(job), plan)
    sequence = numbers(job, (3, 8, FEATURES))
    output = block(distribute_tensor(sequence, line(job), [Shard(1)]))
    output.square().sum().backward()
    return output.detach(), whole_gradients(block)


def loss_over_divided_classes(job: Job) -> object:
    head = parallelize_module(
        made(lambda: nn.Linear(FEATURES, 8)),
        line(job),
        ColwiseParallel(use_local_output=False),
    )
    inputs, _ = batch(job, 0, rank=0)
    with loss_parallel():
        loss = nn.functional.cross_entropy(head(inputs), torch.arange(len(inputs)))
        loss.backward()
    return loss.full_tensor().detach(), whole_gradients(head)


def data_and_tensor_parallel(job: Job) -> object:
    """Two dimensions: FSDP over one, tensor parallel over the other."""
    mesh = init_device_mesh("cpu", (job.size // 2, 2), mesh_dim_names=("data", "tensor"))
    torch.manual_seed(5)
    block = Block().double()
    parallelize_module(block, mesh["tensor"], {"up": ColwiseParallel(), "down": RowwiseParallel()})
    fully_shard(block, mesh=mesh["data"])
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    results = []
    for number in range(2):
        optimizer.zero_grad()
        inputs, _ = batch(job, number, rank=mesh["data"].get_local_rank())
        output = block(inputs)
        output.square().sum().backward()
        results += [output.detach(), whole_gradients(block)]
        optimizer.step()
    return results


def whole_gradients(module: nn.Module) -> list[torch.Tensor]:
    gradients = [parameter.grad for parameter in module.parameters()]
    return [grad.full_tensor() if isinstance(grad, DTensor) else grad.clone() for grad in gradients]

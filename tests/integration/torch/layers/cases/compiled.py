"""torch.compile of steps that communicate, and functional collectives."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from integration.torch.layers.models import FEATURES, batch, gradients, made
from integration.torch.layers.runner import Job
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

ELEMENTS = 24


def compiled(function: Callable[..., object]) -> Callable[..., object]:
    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


def own(job: Job) -> torch.Tensor:
    return torch.arange(ELEMENTS, dtype=torch.float64) + 100 * job.rank


def distributed_data_parallel(job: Job) -> object:
    """The compiler cuts the graph at DDP's buckets, of at least 1 MiB."""
    torch._dynamo.reset()
    model = made(
        lambda: nn.Sequential(nn.Linear(FEATURES, 256), *(nn.Linear(256, 256) for _ in range(4)), nn.Linear(256, 1))
    )
    wrapped = DistributedDataParallel(model, bucket_cap_mb=1)
    step = torch.compile(wrapped, backend="aot_eager")
    results = []
    for number in range(2):
        model.zero_grad()
        inputs, targets = batch(job, number)
        nn.functional.mse_loss(step(inputs), targets).backward()
        results.append(gradients(model))
    return results


def functional_collectives(job: Job) -> object:
    """Eagerly and compiled."""
    group = dist.group.WORLD

    def all_of_them(x: torch.Tensor) -> list[torch.Tensor]:
        whole = functional.all_gather_tensor(x, 0, group)
        return [
            functional.all_reduce(x, "sum", group) + 1,
            functional.all_reduce(x, "max", group),
            whole * 2,
            functional.reduce_scatter_tensor(whole, "sum", 0, group),
            functional.all_to_all_single(x, None, None, group),
            functional.broadcast(x, job.size - 1, group),
        ]

    eager = [functional.wait_tensor(tensor) for tensor in all_of_them(own(job))]
    graph = compiled(all_of_them)(own(job))
    assert all(torch.equal(a, b) for a, b in zip(eager, graph, strict=True))
    return graph


def coalesced_functional_collectives(job: Job) -> object:
    group = dist.group.WORLD
    tensors = [own(job), own(job)[:8] * 3]
    return [
        functional.wait_tensor(tensor)
        for results in (
            functional.all_reduce_coalesced(tensors, "sum", group),
            functional.all_gather_into_tensor_coalesced(tensors, group),
            functional.reduce_scatter_tensor_coalesced(tensors, "sum", [0, 0], group),
        )
        for tensor in results
    ]


def all_reduce_with_gradient(job: Job) -> object:
    from torch.distributed.nn.functional import all_gather, all_reduce, broadcast

    x = own(job).requires_grad_()
    (all_reduce(x * x) * (job.rank + 1)).sum().backward()
    y = own(job).requires_grad_()
    (torch.stack(all_gather(y)) * own(job)).sum().backward()
    z = own(job).requires_grad_()
    (broadcast(z, 0) * (job.rank + 1)).sum().backward()
    return x.grad, y.grad, z.grad


def all_to_all_with_gradient(job: Job) -> object:
    from torch.distributed.nn.functional import all_to_all_single

    x = own(job).requires_grad_()
    received = all_to_all_single(torch.empty(ELEMENTS, dtype=torch.float64), x)
    (received * own(job)).sum().backward()
    return received.detach(), x.grad


def ordinary_collectives_in_a_graph(job: Job) -> object:
    """dist.all_reduce and friends, which the compiler rewrites."""

    def step(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = x * 2
        dist.all_reduce(total)
        whole = torch.empty(job.size * ELEMENTS, dtype=x.dtype)
        dist.all_gather_into_tensor(whole, x)
        return total + 1, whole

    return compiled(step)(own(job))


def distributed_tensors(job: Job) -> object:
    mesh = init_device_mesh("cpu", (job.size,))

    def step(x: DTensor) -> torch.Tensor:
        return (x @ x.t()).redistribute(placements=[Replicate()]).to_local()

    x = distribute_tensor(torch.arange(64.0, dtype=torch.float64).reshape(8, 8), mesh, [Shard(0)])
    return compiled(step)(x)

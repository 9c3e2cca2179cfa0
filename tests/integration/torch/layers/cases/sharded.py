"""Layers that divide parameters, gradients or optimizer states among ranks."""

from __future__ import annotations

import torch
import torch.distributed as dist
from integration.torch.layers.models import batch, deep, gradients, made, parameters, step, wide
from integration.torch.layers.runner import Job
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FullStateDictConfig,
    FullyShardedDataParallel,
    MixedPrecision,
    MixedPrecisionPolicy,
    ShardingStrategy,
    StateDictType,
    fully_shard,
)
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

CPU = torch.device("cpu")


def fsdp1(job: Job, strategy: ShardingStrategy, **options: object) -> object:
    """Losses, norms, and the whole state after three steps."""
    model = FullyShardedDataParallel(
        made(wide),
        sharding_strategy=strategy,
        auto_wrap_policy=ModuleWrapPolicy({nn.Linear}),
        device_id=CPU,
        **options,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    results = []
    for number in range(3):
        optimizer.zero_grad()
        results.append(step(model, job, number))
        optimizer.step()
    with FullyShardedDataParallel.state_dict_type(
        model, StateDictType.FULL_STATE_DICT, FullStateDictConfig(rank0_only=False)
    ):
        whole = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return results, whole, FullyShardedDataParallel.full_optim_state_dict(model, optimizer, rank0_only=False)


def fsdp1_full_shard(job: Job) -> object:
    return fsdp1(job, ShardingStrategy.FULL_SHARD)


def fsdp1_shard_grad_op(job: Job) -> object:
    return fsdp1(job, ShardingStrategy.SHARD_GRAD_OP)


def fsdp1_no_shard(job: Job) -> object:
    return fsdp1(job, ShardingStrategy.NO_SHARD, use_orig_params=True)


def fsdp1_original_parameters(job: Job) -> object:
    return fsdp1(job, ShardingStrategy.FULL_SHARD, use_orig_params=True, limit_all_gathers=False)


def fsdp1_mixed_precision(job: Job) -> object:
    return fsdp1(
        job,
        ShardingStrategy.FULL_SHARD,
        mixed_precision=MixedPrecision(param_dtype=torch.float32, reduce_dtype=torch.float64),
    )


def fsdp1_clipped(job: Job) -> object:
    """In float32: torch computes the norm in it."""
    model = FullyShardedDataParallel(made(wide).float(), device_id=CPU, use_orig_params=True)
    inputs, targets = batch(job, 0)
    nn.functional.mse_loss(model(inputs.float()), targets.float()).backward()
    return model.clip_grad_norm_(0.1), gradients(model)


def fsdp1_no_sync(job: Job) -> object:
    model = FullyShardedDataParallel(made(wide), device_id=CPU, use_orig_params=True)
    with model.no_sync():
        first = step(model, job, 0)
    return first, step(model, job, 1), gradients(model)


def fsdp2(job: Job, shape: tuple[int, ...], **options: object) -> object:
    """Losses, gradients and parameters, gathered whole."""
    names = ("replicate", "shard")[-len(shape) :]
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    model = made(wide)
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh, **options)
    fully_shard(model, mesh=mesh, **options)
    # Not Adam: it blows the rounding errors of small gradients up to the size of large ones.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    results = []
    for number in range(3):
        optimizer.zero_grad()
        results.append(step(model, job, number))
        results.append([parameter.grad.full_tensor() for parameter in model.parameters()])
        results.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).full_tensor())
        optimizer.step()
    return results, [parameter.full_tensor().detach() for parameter in model.parameters()]


def fsdp2_one_dimension(job: Job) -> object:
    return fsdp2(job, (job.size,))


def fsdp2_keep_unsharded(job: Job) -> object:
    return fsdp2(job, (job.size,), reshard_after_forward=False)


def fsdp2_mixed_precision(job: Job) -> object:
    policy = MixedPrecisionPolicy(param_dtype=torch.float32, reduce_dtype=torch.float32, output_dtype=torch.float64)
    # as exact as what was reduced
    return tree_map(torch.Tensor.float, fsdp2(job, (job.size,), mp_policy=policy))


def fsdp2_gradient_accumulation(job: Job) -> object:
    model = made(wide)
    fully_shard(model, mesh=init_device_mesh("cpu", (job.size,)))
    model.set_requires_gradient_sync(False)
    first = step(model, job, 0)
    model.set_requires_gradient_sync(True)
    return first, step(model, job, 1), [parameter.grad.full_tensor() for parameter in model.parameters()]


def hybrid(job: Job) -> object:
    """Sharded inside pairs of ranks, replicated between them (2 ranks: replicated only)."""
    return fsdp2(job, (2, job.size // 2))


def zero_redundancy(job: Job) -> object:
    """Optimizer states on one rank each, alone and under DistributedDataParallel; then gathered."""
    results: list[object] = []
    for bucket_view in (False, True):
        model = made(wide)
        wrapped = DistributedDataParallel(model, gradient_as_bucket_view=bucket_view)
        optimizer = ZeroRedundancyOptimizer(
            model.parameters(), torch.optim.Adam, lr=0.01, parameters_as_bucket_view=bucket_view
        )
        for number in range(3):
            optimizer.zero_grad()
            results.append(step(wrapped, job, number))
            optimizer.step()
        optimizer.consolidate_state_dict(to=0)
        results += [parameters(model), optimizer.state_dict() if job.rank == 0 else None]
    return results


def zero_redundancy_join(job: Job) -> object:
    """Uneven inputs: ranks that are done shadow gradients and optimizer steps."""
    from torch.distributed.algorithms.join import Join

    model = made(deep)
    wrapped = DistributedDataParallel(model)
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.SGD, lr=0.05)
    with Join([wrapped, optimizer]):
        for number in range(1 + job.rank):
            optimizer.zero_grad()
            inputs, targets = batch(job, number)
            nn.functional.mse_loss(wrapped(inputs), targets).backward()
            optimizer.step()
    return parameters(model), dist.get_world_size()

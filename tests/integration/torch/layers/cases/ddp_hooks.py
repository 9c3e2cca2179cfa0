"""Communication hooks of DistributedDataParallel: torch's own, and users'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from integration.torch.layers.models import deep, gradients, made, parameters, step, wide
from integration.torch.layers.runner import Job
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import (
    debugging_hooks,
    default_hooks,
    post_localSGD_hook,
    powerSGD_hook,
)
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from torch.distributed.optim import PostLocalSGDOptimizer
from torch.nn.parallel import DistributedDataParallel

#: Size of buckets such that a small model has several, and such that it has one.
SEVERAL_MB, ONE_MB = 0.001, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What `register_comm_hook` gets, and the dtype in which the hook adds."""

    call: Callable[..., object]
    state: object = None
    precision: torch.dtype = torch.float64


def hooked(
    job: Job, make: Callable[[], nn.Module], hook: Hook, *, steps: int = 3, bucket_mb: float = SEVERAL_MB
) -> object:
    """Gradients of some steps, and the parameters after them; as precise as the hook where orders differ."""
    model = made(make)
    wrapped = DistributedDataParallel(model, bucket_cap_mb=bucket_mb)
    wrapped.register_comm_hook(hook.state, hook.call)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    results = []
    for number in range(steps):
        optimizer.zero_grad()
        step(wrapped, job, number)
        results += gradients(model)
        optimizer.step()
    results += parameters(model)
    return results if job.size == 2 else [tensor.to(hook.precision) for tensor in results]


def allreduce(job: Job) -> object:
    return hooked(job, deep, Hook(call=default_hooks.allreduce_hook))


def fp16_compress(job: Job) -> object:
    return hooked(job, deep, Hook(call=default_hooks.fp16_compress_hook, precision=torch.float16))


def bf16_compress(job: Job) -> object:
    return hooked(job, deep, Hook(call=_bfloat16, precision=torch.bfloat16))


def fp16_compress_wrapper(job: Job) -> object:
    return hooked(
        job, deep, Hook(call=default_hooks.fp16_compress_wrapper(default_hooks.allreduce_hook), precision=torch.float16)
    )


def power_sgd(job: Job) -> object:
    """Compresses from the third step on. In one bucket, because its callbacks start collectives, and each rank runs a
    callback when it gets there.
    """
    state = powerSGD_hook.PowerSGDState(None, 2, start_powerSGD_iter=2, min_compression_rate=1)
    hook = Hook(call=powerSGD_hook.powerSGD_hook, state=state, precision=torch.float16)
    return hooked(job, wide, hook, steps=5, bucket_mb=ONE_MB)


def no_communication(job: Job) -> object:
    return hooked(job, deep, Hook(call=debugging_hooks.noop_hook))


def chain_of_futures(job: Job) -> object:
    return hooked(job, deep, Hook(call=_chain))


def post_local_sgd(job: Job) -> object:
    """Gradients go round in pairs of ranks; every second step, parameters are averaged over all."""
    subgroup, _ = dist.new_subgroups(group_size=2)
    state = post_localSGD_hook.PostLocalSGDState(process_group=None, subgroup=subgroup, start_localSGD_iter=2)
    model = made(deep)
    wrapped = DistributedDataParallel(model, bucket_cap_mb=SEVERAL_MB)
    wrapped.register_comm_hook(state, post_localSGD_hook.post_localSGD_hook)
    optimizer = PostLocalSGDOptimizer(
        optim=torch.optim.SGD(model.parameters(), lr=0.05), averager=PeriodicModelAverager(period=2, warmup_steps=2)
    )
    results = []
    for number in range(6):
        optimizer.zero_grad()
        step(wrapped, job, number)
        results.append(gradients(model))
        optimizer.step()
    return results, parameters(model)


def built_in_allreduce(job: Job) -> object:
    return built_in(job, dist.BuiltinCommHookType.ALLREDUCE)


def built_in_fp16_compress(job: Job) -> object:
    results = built_in(job, dist.BuiltinCommHookType.FP16_COMPRESS)
    return results if job.size == 2 else [tensor.half() for tensor in results]


def built_in(job: Job, kind: dist.BuiltinCommHookType) -> list[torch.Tensor]:
    """Gradients of two batches, by a hook of torch's C++ side."""
    model = made(deep)
    wrapped = DistributedDataParallel(model, bucket_cap_mb=SEVERAL_MB)
    wrapped._register_builtin_comm_hook(kind)
    for number in range(2):
        step(wrapped, job, number)
    return gradients(model)


def fused_optimizer(job: Job) -> object:
    """The optimizer runs inside the hook, on each bucket as it arrives."""
    model = made(deep)
    wrapped = DistributedDataParallel(model, bucket_cap_mb=SEVERAL_MB)
    wrapped._register_fused_optim(torch.optim.SGD, lr=0.05, momentum=0.9)
    return [step(wrapped, job, number) for number in range(3)], parameters(model)


# Without annotations: register_comm_hook looks at them, and does not understand them as text.
def _bfloat16(group, bucket):
    """torch's own, under a name for which DDP does not demand CUDA."""
    return default_hooks.bf16_compress_hook(group, bucket)


def _chain(_, bucket):
    """An average through a chain of futures."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    halved = work.get_future().then(lambda done: done.value()[0].div_(2))
    return halved.then(lambda done: done.value().mul_(2 / dist.get_world_size()))

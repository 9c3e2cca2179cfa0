"""torch.distributed.pipelining: one stage on each rank, or several."""

from __future__ import annotations

import torch
from integration.torch.layers.models import FEATURES, gradients
from integration.torch.layers.runner import Job
from torch import nn
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
    SplitPoint,
    pipeline,
)

MICROBATCHES, ROWS = 4, 8
CPU = torch.device("cpu")


def stage_module(number: int) -> nn.Module:
    torch.manual_seed(10 + number)
    return nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanh()).double()


def data(job: Job) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(job.seed % 1000)
    inputs, targets = torch.randn(2, ROWS, FEATURES, generator=generator, dtype=torch.float64)
    return inputs, targets


def scheduled(job: Job, schedule: object, modules: list[nn.Module]) -> object:
    """Outputs, losses and gradients of one step."""
    inputs, targets = data(job)
    losses: list[torch.Tensor] = []
    arguments = (inputs,) if job.rank == 0 else ()
    last = job.rank == job.size - 1
    output = schedule.step(*arguments, **({"target": targets, "losses": losses} if last else {}))
    return output, losses, [gradients(module) for module in modules]


def gpipe(job: Job) -> object:
    module = stage_module(job.rank)
    stage = PipelineStage(module, job.rank, job.size, CPU)
    return scheduled(job, ScheduleGPipe(stage, MICROBATCHES, loss_fn=nn.functional.mse_loss), [module])


def one_forward_one_backward(job: Job) -> object:
    module = stage_module(job.rank)
    stage = PipelineStage(module, job.rank, job.size, CPU)
    return scheduled(job, Schedule1F1B(stage, MICROBATCHES, loss_fn=nn.functional.mse_loss), [module])


def interleaved(job: Job) -> object:
    """Two stages on each rank."""
    numbers = [job.rank, job.rank + job.size]
    modules = [stage_module(number) for number in numbers]
    stages = [PipelineStage(module, number, 2 * job.size, CPU) for module, number in zip(modules, numbers, strict=True)]
    schedule = ScheduleInterleaved1F1B(stages, MICROBATCHES, loss_fn=nn.functional.mse_loss)
    return scheduled(job, schedule, modules)


def split_by_torch(job: Job) -> object:
    """torch traces a model and cuts it into stages."""
    layers = nn.Sequential(*(stage_module(number) for number in range(job.size)))
    inputs, _ = data(job)
    cuts = {str(number): SplitPoint.BEGINNING for number in range(1, job.size)}
    pipe = pipeline(layers, mb_args=(inputs[: ROWS // MICROBATCHES],), split_spec=cuts)
    stage = pipe.build_stage(job.rank, CPU)
    schedule = ScheduleGPipe(stage, MICROBATCHES, loss_fn=nn.functional.mse_loss)
    return scheduled(job, schedule, [pipe.get_stage_module(job.rank)])

"""DeepSpeed's engine with each stage of ZeRO."""

from __future__ import annotations

import deepspeed
import torch
import torch.distributed as dist
from torch import nn

import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 - registers backend "smddp"

from problem import RATE, ROWS, STEPS, bits, data, difference, made, network, report


def single() -> nn.Module:
    """DeepSpeed computes in float32 at most."""
    return network().float()


def loss_of(model: nn.Module, rows: slice = slice(None)) -> torch.Tensor:
    inputs, targets = data()
    return nn.functional.mse_loss(model(inputs[rows].float()), targets[rows].float())


def trained(stage: int) -> nn.Module:
    model = made(single)
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=RATE),
        config={
            "train_batch_size": ROWS,
            "gradient_clipping": 0.0,
            "zero_optimization": {"stage": stage},
            "zero_allow_untested_optimizer": True,
        },
    )
    half = ROWS // 2
    first = dist.get_rank() * half
    for _ in range(STEPS):
        engine.backward(loss_of(engine, slice(first, first + half)))
        engine.step()
    return model


def main() -> None:
    deepspeed.init_distributed(dist_backend="smddp")
    stages = {}
    for stage in range(4):
        model = trained(stage)
        with deepspeed.zero.GatheredParameters(list(model.parameters()), enabled=stage == 3):
            stages[stage] = {"bits": bits(model), "difference": difference(model, single, loss_of)}
    report(processes=deepspeed.comm.get_world_size(), stages=stages)
    deepspeed.comm.destroy_process_group()


if __name__ == "__main__":
    main()

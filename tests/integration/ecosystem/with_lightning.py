"""Lightning's Trainer with DDPStrategy; with the argument "documented" as AWS documents it for mpirun."""

from __future__ import annotations

import os
import sys

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 - registers backend "smddp"

from problem import RATE, ROWS, STEPS, bits, data, difference, made, report


class Regression(pl.LightningModule):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        inputs, targets = batch
        # On every backend but gloo by ReduceOp.AVG.
        self.log("rank", float(self.global_rank), sync_dist=True)
        return nn.functional.mse_loss(self.network(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=RATE)


def strategy() -> DDPStrategy:
    if sys.argv[1:] != ["documented"]:
        return DDPStrategy(process_group_backend="smddp")
    environment = LightningEnvironment()
    environment.world_size = lambda: int(os.environ["WORLD_SIZE"])
    environment.global_rank = lambda: int(os.environ["RANK"])
    return DDPStrategy(cluster_environment=environment, process_group_backend="smddp")


def main() -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy(),
        max_epochs=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    network = made()
    trainer.fit(Regression(network), DataLoader(TensorDataset(*data()), batch_size=ROWS // 2))
    report(
        environment=type(trainer.strategy.cluster_environment).__name__,
        backend=trainer.strategy.process_group_backend,
        averaged=trainer.callback_metrics["rank"].item(),
        bits=bits(network),
        difference=difference(network),
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""A training loop with accelerate; with the argument "joined" in a group that the script has made before."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from problem import RATE, ROWS, STEPS, bits, data, difference, made, report


def accelerator() -> Accelerator:
    if sys.argv[1:] == ["joined"]:
        import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 - registers backend "smddp"

        dist.init_process_group("smddp")
        return Accelerator(cpu=True)
    return Accelerator()  # imports the module and makes the group by itself


def main() -> None:
    accelerate = accelerator()
    network = made()
    model, optimizer, loader = accelerate.prepare(
        network,
        torch.optim.SGD(network.parameters(), lr=RATE),
        DataLoader(TensorDataset(*data()), batch_size=ROWS // 2),
    )
    for _ in range(STEPS):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(inputs), targets)
            accelerate.backward(loss)
            optimizer.step()
    state = accelerate.state
    mine = torch.tensor([10.0 + accelerate.process_index])
    report(
        backend=state.backend,
        distributed_type=state.distributed_type.value,
        device=accelerate.device.type,
        wrapped=type(model).__name__,
        gathered=accelerate.gather(mine).tolist(),
        averaged=accelerate.reduce(mine, "mean").tolist(),
        bits=bits(network),
        difference=difference(network),
    )
    accelerate.end_training()


if __name__ == "__main__":
    main()

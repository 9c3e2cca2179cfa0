"""An ordinary training script: how it is started is not its business. Each rank prints one line of JSON."""

from __future__ import annotations

import hashlib
import json
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 - registers backend "smddp"

ROWS = 32


def main() -> None:
    """Train a few steps of a fixed problem, always with the same global batch."""
    torch.set_num_threads(1)
    dist.init_process_group("smddp")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    inputs, targets = torch.randn(ROWS, 8, dtype=torch.float64), torch.randn(ROWS, 1, dtype=torch.float64)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)).double())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs[rank::size]), targets[rank::size]).backward()
        optimizer.step()
    loss = nn.functional.mse_loss(model(inputs), targets)
    bits = b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())
    report = {
        "rank": rank,
        "size": size,
        "local_rank": os.environ.get("LOCAL_RANK"),
        "loss": loss.item(),
        "bits": hashlib.sha256(bits).hexdigest(),
    }
    dist.destroy_process_group()
    os.write(1, (json.dumps(report) + "\n").encode())  # in one piece: launchers mix what ranks print


if __name__ == "__main__":
    main()

"""Train a digit classifier with DistributedDataParallel; every rank reports a hash of the weights it ends with."""

from __future__ import annotations

import argparse
import hashlib

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 (registers the backend)
from smddp.torch import transport_name

from reporting import place, write_report

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("smddp")
    rank, world = dist.get_rank(), dist.get_world_size()
    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target)
    model = DistributedDataParallel(make_model())
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9)
    for _ in range(options.epochs):
        # The same order on all ranks, of which each takes its own scans.
        for batch in torch.randperm(len(labels)).split(BATCH)[:-1]:
            mine = batch[rank::world]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[mine]), labels[mine]).backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (model(images).argmax(1) == labels).double().mean().item()
    weights = b"".join(value.detach().numpy().tobytes() for value in model.parameters())
    digest = hashlib.sha256(weights).hexdigest()
    write_report(rank, filled=place(), weights=digest, accuracy=accuracy, transport=transport_name())
    dist.destroy_process_group()
    if rank == 0:
        print(f"weights {digest}, accuracy {accuracy:.4f}")


def make_model() -> nn.Module:
    """(N, 1, 8, 8) images to (N, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


if __name__ == "__main__":
    main()

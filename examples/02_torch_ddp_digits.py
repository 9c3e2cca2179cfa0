"""Train a digit classifier with torch.nn.parallel.DistributedDataParallel on backend "smddp", on GPUs if there are any.

Run it alone, or on several ranks:

    python examples/02_torch_ddp_digits.py
    smddprun -np 4 python examples/02_torch_ddp_digits.py --plot curve.png
    torchrun --nproc-per-node 4 examples/02_torch_ddp_digits.py
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, DistributedSampler, Subset
from tqdm import tqdm

import smddp.torch
import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 (registers the backend)

from digits import Curve, parse_options, report
from digits.pytorch import DigitNet, count_right, digits_datasets, own_device


def split_scans(options: Namespace, rank: int, world: int) -> tuple[DataLoader, DataLoader]:
    """This rank's part of the training scans and of the test scans, in batches."""
    train_set, test_set = digits_datasets(options.seed)
    sampler = DistributedSampler(train_set, seed=options.seed)
    train_loader = DataLoader(train_set, batch_size=options.batch // world, sampler=sampler)
    test_loader = DataLoader(Subset(test_set, range(rank, len(test_set), world)), batch_size=100)
    return train_loader, test_loader


def train(
    model: nn.Module, loader: DataLoader, device: torch.device, optimizer: Optimizer, schedule: LRScheduler
) -> Iterator[torch.Tensor]:
    """Train on each batch once; yields the losses."""
    for images, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        loss.backward()  # gradients are averaged over the ranks while backward still runs
        optimizer.step()
        schedule.step()
        yield loss.detach()


def main() -> None:
    options = parse_options(__doc__, lr="highest learning rate, one-cycle schedule")
    torch.set_num_threads(1)  # the ranks share the cores
    torch.manual_seed(options.seed)

    dist.init_process_group("smddp")
    rank, world = dist.get_rank(), dist.get_world_size()
    device = own_device()

    train_loader, test_loader = split_scans(options, rank, world)
    model = DistributedDataParallel(DigitNet().to(device))
    optimizer = torch.optim.AdamW(model.parameters())
    steps = options.epochs * len(train_loader)
    schedule = OneCycleLR(optimizer, options.lr, total_steps=steps)

    curve = Curve()
    progress = tqdm(total=steps, unit="step", mininterval=0.5, disable=rank != 0)
    started = time.perf_counter()
    for epoch in range(options.epochs):
        train_loader.sampler.set_epoch(epoch)
        epoch_loss = torch.zeros((), device=device)
        for loss in train(model, train_loader, device, optimizer, schedule):
            epoch_loss += loss
            progress.update()
        dist.all_reduce(epoch_loss)
        right = count_right(model.module, test_loader, device)  # each rank tests its part of the scans
        dist.all_reduce(right)
        curve.add(loss=epoch_loss.item() / (len(train_loader) * world), accuracy=(right[0] / right[1]).item())
        progress.set_postfix(loss=f"{curve.loss[-1]:.4f}", accuracy=f"{curve.accuracy[-1]:.4f}", refresh=False)
    seconds = time.perf_counter() - started
    progress.close()

    where = f"{world} {'rank' if world == 1 else 'ranks'}, {smddp.torch.transport_name(device=device.type)}"
    dist.destroy_process_group()
    if rank == 0:
        scans = options.epochs * len(train_loader.sampler) * world
        report(curve, options.plot, scans=scans, seconds=seconds, where=where)


if __name__ == "__main__":
    main()

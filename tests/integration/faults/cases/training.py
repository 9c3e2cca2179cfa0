"""Training that only a fault ends."""

from __future__ import annotations

import itertools
import os
import time

import numpy as np
from integration.faults.cases.common import join_numpy, join_torch, say, telling

import smddp
import smddp.errors


def torch_ddp(timeout: str, workers: str) -> None:
    """DistributedDataParallel on scans of digits, 8 x 8, with `workers` DataLoader processes."""
    import torch
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    join_torch(float(timeout))
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(512, 64, generator=generator)
    labels = torch.randint(10, (512,), generator=generator)
    dataset = TensorDataset(images, labels)
    loader = DataLoader(
        dataset,
        batch_size=8,
        sampler=DistributedSampler(dataset),
        num_workers=int(workers),
        persistent_workers=int(workers) > 0,
    )
    model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)))
    steps = itertools.count(1)
    with telling():
        while True:
            for batch, targets in loader:
                model.zero_grad()
                nn.functional.cross_entropy(model(batch), targets).backward()
                with torch.no_grad():  # importing torch.optim takes longer than all the rest
                    for parameter in model.parameters():
                        parameter -= 0.1 * parameter.grad
                say(f"step {next(steps)}")


def numpy_loop(timeout: str) -> None:
    """all_reduce of arrays of several sizes, synchronous and asynchronous."""
    communicator = join_numpy(float(timeout))
    arrays = [np.full(size, communicator.rank + 1.0) for size in (1, 1000, 300_000)]
    with telling():
        for step in itertools.count(1):
            works = [communicator.all_reduce(array, "max", async_op=True) for array in arrays]
            for work in works:
                assert work is not None
                work.wait()
            communicator.all_reduce(arrays[0], "max")
            say(f"step {step} of rank {communicator.rank}, pid {os.getpid()}")


def registered_loop(timeout: str) -> None:
    """all_reduce on registered memory. After the failure nobody writes to the array any more."""
    communicator = join_numpy(float(timeout))
    array = smddp.empty_registered(3_000_000, "float32")
    array[:] = communicator.rank + 1.0
    with telling():
        for step in itertools.count(1):
            try:
                communicator.all_reduce(array, "max")
            except smddp.errors.SMDDPError:
                array[:] = -1
                until = time.monotonic() + 0.2
                while time.monotonic() < until:
                    assert (array == -1).all()
                raise
            say(f"step {step} of rank {communicator.rank}, pid {os.getpid()}")


def until_step(timeout: str, rank: str, step: str, ending: str) -> None:
    """numpy_loop's world, which one rank leaves in its own way in the middle."""
    with telling():
        communicator = join_numpy(float(timeout))
        array = np.full(1000, communicator.rank + 1.0)
        for number in itertools.count(1):
            if (communicator.rank, number) == (int(rank), int(step)):
                leave(ending)
            communicator.all_reduce(array, "max")


def torch_until_step(timeout: str, rank: str, step: str, ending: str) -> None:
    """The same through torch.distributed."""
    import torch
    import torch.distributed as dist

    with telling():
        join_torch(float(timeout))
        tensor = torch.ones(1000)
        for number in itertools.count(1):
            if (dist.get_rank(), number) == (int(rank), int(step)):
                leave(ending)
            dist.all_reduce(tensor, dist.ReduceOp.MAX)


def leave(ending: str) -> None:
    """End this rank: by an exception of its own, an exit code, in good order, or without any."""
    if ending == "exception":
        raise KeyError("an error of the user's own")
    if ending == "exit 3":
        raise SystemExit(3)
    if ending == "exit 0":
        raise SystemExit(0)
    assert ending == "_exit 4"
    os._exit(4)

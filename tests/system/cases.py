"""What one rank does in the system tests."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np

__all__ = ["collectives", "ddp"]


def collectives(transport: str) -> None:
    """Every kind of collective through the framework-free interface, with a value of its own in each element."""
    import smddp

    world = smddp.init(timeout=60)
    assert world.transport == transport, world.transport
    ranks = range(world.size)
    for count in (1, 37, 300_007):
        brought = [np.arange(count, dtype=np.int64) * 7 + 1000 * (rank + 1) for rank in ranks]
        total = np.sum(brought, axis=0)
        for dtype in (np.int64, np.float64):
            array = brought[world.rank].astype(dtype)
            world.all_reduce(array)
            np.testing.assert_array_equal(array, total.astype(dtype), strict=True)
        gathered = np.empty(count * world.size, np.int64)
        world.all_gather(gathered, brought[world.rank])
        np.testing.assert_array_equal(gathered, np.concatenate(brought))
        part = np.empty(count, np.int64)
        world.reduce_scatter(part, gathered * (world.rank + 1))
        own = gathered[world.rank * count : (world.rank + 1) * count]
        np.testing.assert_array_equal(part, own * sum(rank + 1 for rank in ranks))
        for root in ranks:
            array = brought[world.rank].copy()
            world.broadcast(array, root)
            np.testing.assert_array_equal(array, brought[root])
    world.barrier()
    smddp.shutdown()
    # Shared memory has no name that could stay behind.
    print(f"passed on {socket.gethostname()}, {len(list(Path('/dev/shm').iterdir()))} files in shared memory")


def ddp() -> None:
    """Train a small model with DistributedDataParallel; every rank prints a hash of the parameters it ends with."""
    import hashlib

    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    import smddp.torch  # noqa: F401 (registers the backend)

    torch.set_num_threads(1)
    dist.init_process_group("smddp")
    rank = dist.get_rank()
    torch.manual_seed(rank)  # DDP has to make the parameters equal, and the batches have to differ
    model = DistributedDataParallel(nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        batch = torch.randn(8, 16)
        optimizer.zero_grad()
        loss = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
        loss.backward()
        optimizer.step()
        dist.all_reduce(loss := loss.detach(), dist.ReduceOp.AVG)
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses
    digest = hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in model.parameters()))
    dist.destroy_process_group()
    print(f"parameters {digest.hexdigest()}")

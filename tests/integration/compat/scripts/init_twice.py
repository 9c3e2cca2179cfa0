"""Calls init_process_group several times, with all sorts of arguments, the first time before torch is imported."""

import smdistributed.dataparallel.torch.distributed as dist

local_rank = dist.get_local_rank()  # to choose a device, before anything else
dist.init_process_group()

import datetime
import os

import torch

from smdistributed.dataparallel.torch.parallel import DistributedDataParallel as DDP


def setup():
    if not dist.is_initialized():
        dist.init_process_group(backend="smddp")
    dist.init_process_group(backend="smddp", timeout=datetime.timedelta(hours=1))
    dist.init_process_group("nccl", init_method="env://", world_size=99, rank=7, store=None, group_name="")
    return dist.get_rank(), dist.get_world_size()


def main():
    rank, world_size = setup()
    assert os.environ["SMDATAPARALLEL_LOCAL_RANK"] == str(local_rank) == str(rank)

    model = DDP(torch.nn.Linear(3, 1, bias=False), broadcast_buffers=False)
    model(torch.full((1, 3), float(rank + 1))).sum().backward()
    gradient = model.module.weight.grad.unique().tolist()

    loss = torch.tensor(float(rank))
    dist.all_reduce(loss)
    loss = loss.item() / world_size

    counts = [torch.zeros(1, dtype=torch.long) for _ in range(world_size)]
    dist.all_gather(counts, torch.tensor([10 * (rank + 1)]))

    best = torch.tensor([rank + 0.5, 3.0])
    handle = dist.all_reduce(best, op=dist.ReduceOp.MAX, async_op=True)
    handle.wait()

    start = torch.tensor([rank * 100])
    dist.broadcast(start)
    dist.barrier()

    dist.init_process_group()
    print("rank", rank, gradient, loss, [count.item() for count in counts], best.tolist(), start.item(), flush=True)


if __name__ == "__main__":
    main()

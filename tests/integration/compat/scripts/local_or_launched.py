"""Uses the library only in a distributed job, as is_available() tells it."""

import torch

import smdistributed.dataparallel.torch.distributed as dist

if dist.is_available():
    dist.init_process_group()
    total = torch.ones(1, dtype=torch.int64)
    dist.all_reduce(total, op=None)
    print("rank", dist.get_rank(), "of", total.item(), flush=True)
else:
    assert not dist.is_initialized()
    print("a local run")

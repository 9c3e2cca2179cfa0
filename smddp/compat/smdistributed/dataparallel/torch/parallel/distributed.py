"""`smdistributed.dataparallel.torch.parallel.distributed`: see `smddp.torch.ddp`."""

from __future__ import annotations

from smddp.torch.ddp import DistributedDataParallel

__all__ = ["DistributedDataParallel"]

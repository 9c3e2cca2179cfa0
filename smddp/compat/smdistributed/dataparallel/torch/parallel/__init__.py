"""`smdistributed.dataparallel.torch.parallel`: see `smddp.torch.ddp`."""

from __future__ import annotations

from smddp.torch.ddp import DistributedDataParallel

__all__ = ["DistributedDataParallel"]

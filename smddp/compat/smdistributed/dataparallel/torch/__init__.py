"""`smdistributed.dataparallel.torch`: see `smddp.torch`."""

from __future__ import annotations

from smddp.torch.distributed import get_local_rank, get_rank, get_world_size

__all__ = ["get_local_rank", "get_rank", "get_world_size"]

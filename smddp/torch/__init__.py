"""PyTorch: importing this module registers backend ``"smddp"`` of torch.distributed.

::

    import torch.distributed as dist
    import smddp.torch

    dist.init_process_group("smddp")

Started by mpirun or srun alone, the import also fills in the variables that ``init_method="env://"`` reads (RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, ...) from the launcher's, leaving those that are set untouched. A process that
nobody launched becomes a world of one by them, with LOCAL_RANK from ``init_process_group("smddp")`` on, as libraries
know a launcher by it; SMDDP_ALONE keeps its children from taking them for a launcher's.
"""

from __future__ import annotations

import os

from smddp.launch.rank_env import fill_rank_environment
from smddp.torch.backend import bucket_cap_mb, register, transport_name
from smddp.torch.registered import empty_registered

__all__ = ["bucket_cap_mb", "empty_registered", "transport_name"]

fill_rank_environment(os.environ)
register()

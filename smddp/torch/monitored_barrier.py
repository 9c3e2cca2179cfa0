"""torch.distributed.monitored_barrier for groups of backend "smddp".

torch's function refuses every backend whose name is not gloo, though it only calls a method of the group. Ours takes
its place, and leaves all other groups to it.
"""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

__all__ = ["serve_monitored_barrier"]


def serve_monitored_barrier(native_backend: type) -> None:
    """Let `torch.distributed.monitored_barrier` work on groups whose CPU tensors `native_backend` serves.

    A name that a program has bound before, by `from torch.distributed import monitored_barrier`, stays torch's.
    """
    theirs = dist.monitored_barrier

    @functools.wraps(theirs)
    def monitored_barrier(
        group: dist.ProcessGroup | None = None, timeout: timedelta | None = None, wait_all_ranks: bool = False
    ) -> None:
        own = _own_group(group, native_backend)
        if own is None:
            theirs(group, timeout, wait_all_ranks)
        elif timeout is None:
            own.monitored_barrier(wait_all_ranks=wait_all_ranks)
        else:
            own.monitored_barrier(timeout, wait_all_ranks)

    dist.monitored_barrier = dist.distributed_c10d.monitored_barrier = monitored_barrier


def _own_group(group: dist.ProcessGroup | None, native_backend: type) -> Any:
    """The group (default: all ranks), if this rank is in it and the backend serves it."""
    if not dist.is_initialized() or dist.get_rank(group) < 0:
        return None
    process_group = dist.group.WORLD if group is None else group
    assert process_group is not None
    try:
        backend = process_group._get_backend(torch.device("cpu"))
    except RuntimeError:
        return None  # it has none for CPU tensors
    # With TORCH_DISTRIBUTED_DEBUG=DETAIL torch puts a backend of its own in front.
    backend = getattr(backend, "wrapped_pg", backend)
    return process_group if isinstance(backend, native_backend) else None

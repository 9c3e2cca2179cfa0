"""The one process group of this library, as torch.distributed holds it.

No state lives here: whether a group exists, which backend serves it and who is in it are always asked of
torch.distributed, so scripts may mix both interfaces freely. Raises SMDDPStateError before a group exists or
when another backend owns it.
"""

from __future__ import annotations

from typing import Final

import torch.distributed as dist

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.torch.backend import BACKEND
from smddp.torch.errors import failure

__all__ = ["WORLD", "WorldGroup", "is_initialized", "require_initialized", "require_world"]


class WorldGroup:
    """The only group of the older interface: every process of the job. Its one instance is `WORLD`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "group.WORLD"

    def __reduce__(self) -> str:
        return "WORLD"  # copies and pickles of objects that hold it stay the one instance


WORLD: Final = WorldGroup()


def is_initialized() -> bool:
    """Whether torch.distributed has a default group and this library serves it."""
    return dist.is_available() and dist.is_initialized() and _served_by_smddp()


def require_initialized(caller: str) -> None:
    """Raise SMDDPStateError unless `is_initialized()`.

    Args:
        caller: what needs the group; the message starts with it.
    """
    if not dist.is_initialized():
        msg = f"{caller}: the process group is not initialized; call init_process_group() first"
        raise failure(SMDDPStateError, msg)
    if not _served_by_smddp():
        msg = (
            f"{caller}: torch.distributed is already initialized with backend {dist.get_backend_config()!r}; "
            f"initialize it with backend {BACKEND!r}, or destroy that process group first"
        )
        raise failure(SMDDPStateError, msg)


def require_world(caller: str, group: object) -> None:
    """Raise SMDDPArgumentError unless `group` means every process: None, `WORLD` or torch's default group."""
    if group is None or group is WORLD or group is dist.group.WORLD:
        return
    msg = (
        f"{caller}: group must be group.WORLD, got {group!r}; for subgroups use torch.distributed directly, "
        f"with backend {BACKEND!r}"
    )
    raise failure(SMDDPArgumentError, msg)


def _served_by_smddp() -> bool:
    # One name for all devices reads "smddp"; a list of devices reads "cpu:smddp,cuda:nccl".
    names = (part.rpartition(":")[2] for part in dist.get_backend_config().split(","))
    return BACKEND in names

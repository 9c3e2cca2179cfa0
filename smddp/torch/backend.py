"""Registers backend ``"smddp"`` with torch.distributed; importing smddp.torch calls it."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist
from torch.distributed.constants import default_pg_timeout

from smddp import runtime
from smddp.config import Settings, read_settings
from smddp.errors import SMDDPStateError
from smddp.launch.rank_env import fill_local_place_alone
from smddp.torch.errors import failure, print_errors_plainly
from smddp.torch.monitored_barrier import serve_monitored_barrier

__all__ = ["BACKEND", "bucket_cap_mb", "register", "transport_name"]

BACKEND: Final = "smddp"

_REBUILD: Final = (
    "rebuild it in this environment, in smddp's source folder: "
    "pip install --no-build-isolation --force-reinstall --no-deps ."
)


def _load_native() -> Any:
    try:
        from smddp import _torch
    except ImportError as problem:
        msg = f"smddp was built without torch, or for another torch than {torch.__version__} ({problem}); {_REBUILD}"
        raise ImportError(msg) from problem
    installed = torch.__version__.partition("+")[0]
    if _torch.built_for_torch.rsplit(".", 1)[0] != installed.rsplit(".", 1)[0]:
        msg = f"smddp was built for torch {_torch.built_for_torch}, but torch {installed} is installed; {_REBUILD}"
        raise ImportError(msg)
    return _torch


def register() -> None:
    """Make ``torch.distributed.init_process_group("smddp")`` work; may be called again.

    Raises:
        ImportError: the native module was built for another torch; the message says how to rebuild it.
    """
    if BACKEND.upper() in dist.Backend._plugins:
        return
    serve_monitored_barrier(_load_native().SmddpBackend)
    dist.Backend.register_backend(BACKEND, _create, extended_api=True, devices=["cpu", "cuda"])


def _create(options: Any, _backend_options: Any) -> Any:
    print_errors_plainly()
    _offer_memory_for_buckets()
    settings = read_settings()
    settings = dataclasses.replace(settings, timeout=_deadline(options.timeout, settings).total_seconds())
    runtime.acquire(settings)  # for the orderly leave at exit
    backend = _load_native().create_backend(
        options.store,
        options.group_rank,
        options.group_size,
        options.group_id,
        list(options.global_ranks_in_group),
        _config(settings),
    )
    members = options.global_ranks_in_group  # empty for the group of all ranks
    if not members and options.group_size == 1:
        fill_local_place_alone(os.environ)
    rank = members[options.group_rank] if members else options.group_rank
    runtime.log_version(settings, rank, f"torch {torch.__version__}, {options.group_size} ranks")
    return backend


def _offer_memory_for_buckets() -> None:
    """Let DistributedDataParallel ask for its buckets' memory, which it does where this variable of torch's is "0".

    It would ask an accelerator's backend too; whether that is wanted is for the user to say. So not where torch was
    built for one: asking whether it is there would make it useless in forked children.
    """
    if torch.accelerator.current_accelerator() is None:
        os.environ.setdefault("DDP_DISABLE_COMM_MEM", "0")


def _deadline(given: timedelta, settings: Settings) -> timedelta:
    # torch passes its default where the program gives nothing, and does not tell which of the two it was.
    if given == default_pg_timeout and "timeout" in settings.origins:
        return timedelta(seconds=settings.timeout)
    return given


def _config(settings: Settings) -> Any:
    from smddp.config_native import fill_native

    return fill_native(_load_native().Config(), settings)


def transport_name(group: dist.ProcessGroup | None = None, *, device: str = "cpu") -> str:
    """How tensors of the ranks of `group` (default: all) reach each other.

    Args:
        group: a process group, or None.
        device: the type of the device that the tensors are on.

    Returns:
        On the CPU: shm, tcp, ofi, shm+tcp, shm+ofi. On CUDA: nccl, nccl+host where host memory is for what goes between
        hosts, or host+ and one of these. none for a world of one, and unconnected before their first collective there.

    Raises:
        SMDDPStateError: torch.distributed is not initialised with backend smddp.
    """
    backend = _backend_of(group)
    name: str = backend.transport() if device == "cpu" else backend.device_transport()
    return name


def bucket_cap_mb(group: dist.ProcessGroup | None = None) -> float:
    """What DistributedDataParallel's argument of this name should be between the hosts of `group` (default: all).

    torch's default of 25 MiB, and more where each host's share of that would not fill a stripe of 128 KiB on every
    rail: from 51 hosts with 4 rails on, or from 7 with 32. All ranks of the group call it, as it meets them first.

    Raises:
        SMDDPStateError: torch.distributed is not initialised with backend smddp.
        SMDDPTimeoutError: ranks did not come; the message names them.
    """
    nbytes: int = _backend_of(group).bucket_bytes()
    return nbytes / (1 << 20)


def _backend_of(group: dist.ProcessGroup | None) -> Any:
    if not dist.is_initialized():
        msg = "torch.distributed is not initialised; call init_process_group('smddp') first"
        raise failure(SMDDPStateError, msg)
    process_group = group if group is not None else dist.group.WORLD
    assert process_group is not None
    backend = process_group._get_backend(torch.device("cpu"))
    if not hasattr(backend, "transport"):
        msg = f"the process group has backend {backend.name()!r}, not smddp"
        raise failure(SMDDPStateError, msg)
    return backend

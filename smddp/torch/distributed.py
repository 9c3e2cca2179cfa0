"""The older PyTorch interface, `smdistributed.dataparallel.torch.distributed`, on top of torch.distributed.

`init_process_group()` initializes torch.distributed's default group with backend "smddp", so everything that
uses torch.distributed works beside this module, and this module works when torch.distributed was initialized
with that backend by somebody else. `group` exists in signatures for parity: `group.WORLD` is its legal value.

What the original lacked and is here as well: ReduceOp.PRODUCT, reduce, reduce_scatter, all_gather_object,
broadcast_object_list, get_backend, destroy_process_group.

Errors: SMDDPStateError before init_process_group(), SMDDPArgumentError for bad arguments, and from a running
collective whatever backend "smddp" raises.
"""

from __future__ import annotations

import enum
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist

from smddp.alone import RECORD, drop_inherited
from smddp.config import read_settings
from smddp.errors import SMDDPArgumentError, SMDDPConfigError, SMDDPStateError
from smddp.identity import read_identity, read_whole_number
from smddp.torch.backend import BACKEND
from smddp.torch.errors import failure
from smddp.torch.staging import StagedWork, Staging
from smddp.torch.world import WORLD, WorldGroup, is_initialized, require_initialized, require_world

__all__ = [
    "ReduceOp",
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "all_to_all_single",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "get_backend",
    "get_local_rank",
    "get_rank",
    "get_world_size",
    "group",
    "init_process_group",
    "is_available",
    "is_initialized",
    "reduce",
    "reduce_scatter",
]

Handle = dist.Work | StagedWork

_DEPRECATED: Final = (
    "smdistributed.dataparallel.torch.dist is deprecated in the SageMaker distributed data parallel library "
    "v1.4.0+; it keeps working here. Please use torch.distributed and specify 'smddp' as a backend when "
    "initializing process group as follows: torch.distributed.init_process_group(backend='smddp')"
)


class ReduceOp(enum.Enum):
    """How the values of all ranks are combined. AVERAGE is the sum divided by the number of ranks."""

    SUM = "sum"
    AVERAGE = "average"
    MIN = "min"
    MAX = "max"
    PRODUCT = "product"


class group:  # noqa: N801 - the original's name
    """Groups a collective can run on: all processes, and no other."""

    WORLD: Final[WorldGroup] = WORLD


_TORCH_OPS: Final = {
    ReduceOp.SUM: dist.ReduceOp.SUM,
    ReduceOp.AVERAGE: dist.ReduceOp.AVG,
    ReduceOp.MIN: dist.ReduceOp.MIN,
    ReduceOp.MAX: dist.ReduceOp.MAX,
    ReduceOp.PRODUCT: dist.ReduceOp.PRODUCT,
}


# --- Who and where -----------------------------------------------------------------------------------------


def is_available() -> bool:
    """Whether this process was started as part of a distributed job; False in a plain local run."""
    return dist.is_available() and (read_identity(os.environ).size > 1 or _launched_alone(os.environ))


def init_process_group(*args: object, **kwargs: object) -> None:
    """Join the job: initialize torch.distributed's default group with backend "smddp".

    Every argument is accepted and ignored, except a `timeout` that is a timedelta of a second or more: it becomes
    the deadline of each collective (ten years at most), before SMDDP_TIMEOUT and torch's default. Ranks come from
    the environment; a process that was not launched is a world of one. A second call does nothing, and a group
    that torch.distributed already has is adopted if its backend is "smddp".

    Raises:
        SMDDPStateError: torch.distributed is initialized with another backend.
        SMDDPConfigError: the environment does not say where the ranks meet, or holds a bad value.
    """
    if dist.is_initialized():
        require_initialized("init_process_group")
        return
    drop_inherited(os.environ, os.getpid())  # this may be a forked child, for which nothing was imported anew
    identity = read_identity(os.environ)
    _warn_deprecated_once(identity.rank)
    timeout = _usable_timeout([*args, kwargs.get("timeout")]) or _timeout_of_environment()
    if identity.size == 1:
        # A store inside the process: one rank alone needs no address and no port.
        store = dist.HashStore()  # type: ignore[attr-defined] # re-exported without saying so
        dist.init_process_group(BACKEND, store=store, rank=0, world_size=1, timeout=timeout)
        return
    _require_meeting_place(identity.size)
    dist.init_process_group(BACKEND, rank=identity.rank, world_size=identity.size, timeout=timeout)


def destroy_process_group(group: object = WORLD) -> None:
    """Leave the job in order.

    `init_process_group()` may be called again, once rank 0 has left too: where ranks meet is torch's, and rank 0's
    for as long as its group lasts. A rank that is faster meets the old place, and then waits in vain.
    """
    require_world("destroy_process_group", group)
    require_initialized("destroy_process_group")
    dist.destroy_process_group()


def get_world_size(group: object = WORLD) -> int:
    """Number of processes in the job, over all nodes."""
    _require("get_world_size", group)
    return dist.get_world_size()


def get_rank(group: object = WORLD) -> int:
    """Rank of this process among all processes of the job, from 0."""
    _require("get_rank", group)
    return dist.get_rank()


def get_local_rank() -> int:
    """Rank of this process inside its node, from 0. Works before `init_process_group()`."""
    identity = read_identity(os.environ)
    # A script may have joined a world that its environment knows nothing of, by explicit ranks.
    is_stranger = identity.size == 1 and is_initialized() and dist.get_world_size() > 1
    if is_stranger or not (identity.local_known or any(map(_tells_local_rank, os.environ))):
        msg = "get_local_rank: nothing says which ranks share this machine; set LOCAL_RANK in the environment"
        raise failure(SMDDPStateError, msg)
    return identity.local_rank


def get_backend(group: object = WORLD) -> str:
    """Name of the backend, "smddp"."""
    _require("get_backend", group)
    return BACKEND


# --- Collectives -------------------------------------------------------------------------------------------


def all_reduce(
    tensor: torch.Tensor,
    op: ReduceOp | None = ReduceOp.SUM,
    group: object = WORLD,
    async_op: bool = False,
) -> Handle | None:
    """Combine `tensor` over all ranks, in place; all ranks get the same bits.

    Any shape, strides and supported dtype; a parameter that requires grad is written like plain data.

    Returns:
        A handle with `wait()` and `is_completed()` if `async_op`, else None.
    """
    staging = _begin("all_reduce", group)
    target = staging.target("tensor", tensor)
    return staging.finish(dist.all_reduce(target, op=_torch_op("all_reduce", op), async_op=async_op))


def reduce(
    tensor: torch.Tensor,
    dst: int = 0,
    op: ReduceOp | None = ReduceOp.SUM,
    group: object = WORLD,
    async_op: bool = False,
) -> Handle | None:
    """Combine `tensor` over all ranks; only rank `dst` gets the result, in place."""
    staging = _begin("reduce", group)
    _require_rank("reduce", "dst", dst)
    target = staging.target("tensor", tensor)
    return staging.finish(dist.reduce(target, dst, op=_torch_op("reduce", op), async_op=async_op))


def broadcast(tensor: torch.Tensor, src: int = 0, group: object = WORLD, async_op: bool = False) -> Handle | None:
    """Give every rank the values that `tensor` has on rank `src`, in place."""
    staging = _begin("broadcast", group)
    _require_rank("broadcast", "src", src)
    return staging.finish(dist.broadcast(staging.target("tensor", tensor), src, async_op=async_op))


def all_gather(
    tensor_list: list[torch.Tensor], tensor: torch.Tensor, group: object = WORLD, async_op: bool = False
) -> Handle | None:
    """Fill `tensor_list[i]` with `tensor` of rank `i`; the list holds a tensor of the right size per rank."""
    staging = _begin("all_gather", group)
    targets = _one_per_rank("all_gather", "tensor_list", tensor_list)
    outputs = [staging.target(f"tensor_list[{rank}]", target) for rank, target in enumerate(targets)]
    return staging.finish(dist.all_gather(outputs, staging.source("tensor", tensor), async_op=async_op))


def reduce_scatter(
    output: torch.Tensor,
    input_list: list[torch.Tensor],
    op: ReduceOp | None = ReduceOp.SUM,
    group: object = WORLD,
    async_op: bool = False,
) -> Handle | None:
    """Combine `input_list[i]` over all ranks and put the result into `output` of rank `i`."""
    staging = _begin("reduce_scatter", group)
    sources = _one_per_rank("reduce_scatter", "input_list", input_list)
    inputs = [staging.source(f"input_list[{rank}]", source) for rank, source in enumerate(sources)]
    target = staging.target("output", output)
    work = dist.reduce_scatter(target, inputs, op=_torch_op("reduce_scatter", op), async_op=async_op)
    return staging.finish(work)


def all_to_all_single(
    output_t: torch.Tensor,
    input_t: torch.Tensor,
    output_split_sizes: list[int] | None = None,
    input_split_sizes: list[int] | None = None,
    group: object = WORLD,
    async_op: bool = False,
) -> Handle | None:
    """Send part `i` of `input_t` (split along its first dimension) to rank `i`, and collect in `output_t`.

    Args:
        output_t: holds the parts received, in rank order.
        input_t: holds the parts to send, in rank order.
        output_split_sizes: rows received from each rank; None for equal parts.
        input_split_sizes: rows sent to each rank; None for equal parts.
        group: `group.WORLD`.
        async_op: return a handle instead of waiting.
    """
    staging = _begin("all_to_all_single", group)
    target = staging.target("output_t", output_t)
    source = staging.source("input_t", input_t)
    work = dist.all_to_all_single(target, source, output_split_sizes, input_split_sizes, async_op=async_op)
    return staging.finish(work)


def barrier(group: object = WORLD, async_op: bool = False) -> Handle | None:
    """Return (or complete the handle) when every rank has come here."""
    return _begin("barrier", group).finish(dist.barrier(async_op=async_op))


def all_gather_object(object_list: list[Any], obj: object, group: object = WORLD) -> None:
    """Fill `object_list[i]` with the picklable `obj` of rank `i`."""
    _require("all_gather_object", group)
    _one_per_rank("all_gather_object", "object_list", object_list)
    dist.all_gather_object(object_list, obj)


def broadcast_object_list(object_list: list[Any], src: int = 0, group: object = WORLD) -> None:
    """Replace the elements of `object_list` by those of rank `src`; its length is the same on all ranks."""
    _require("broadcast_object_list", group)
    _require_rank("broadcast_object_list", "src", src)
    dist.broadcast_object_list(object_list, src)


# --- Checks ------------------------------------------------------------------------------------------------


def _require_meeting_place(size: int) -> None:
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        msg = (
            f"{' and '.join(missing)} not set, so {size} ranks cannot meet; "
            "set both, or start the job with smddprun or torchrun"
        )
        raise failure(SMDDPConfigError, msg)
    try:
        read_whole_number(os.environ, "MASTER_PORT", low=1, high=65535)
    except SMDDPConfigError as problem:
        raise failure(SMDDPConfigError, str(problem)) from None


def _require(caller: str, group: object) -> None:
    require_initialized(caller)
    require_world(caller, group)


def _begin(caller: str, group: object) -> Staging:
    _require(caller, group)
    return Staging(caller)


def _require_rank(caller: str, name: str, rank: object) -> None:
    size = dist.get_world_size()
    if not isinstance(rank, int) or not 0 <= rank < size:
        msg = f"{caller}: {name} must be a rank from 0 to {size - 1}, got {rank!r}"
        raise failure(SMDDPArgumentError, msg)


def _one_per_rank(caller: str, name: str, values: Sequence[Any]) -> list[Any]:
    size = dist.get_world_size()
    if not isinstance(values, list | tuple) or len(values) != size:
        got = f"{len(values)} elements" if isinstance(values, list | tuple) else type(values).__name__
        msg = f"{caller}: {name} must be a list with one element for each of the {size} ranks, got {got}"
        raise failure(SMDDPArgumentError, msg)
    return list(values)


def _torch_op(caller: str, op: object) -> Any:
    if op is None:
        return dist.ReduceOp.SUM
    if isinstance(op, ReduceOp):
        return _TORCH_OPS[op]
    if isinstance(op, dist.ReduceOp | dist.ReduceOp.RedOpType):
        return op  # scripts in transition mix both modules
    msg = f"{caller}: op must be one of ReduceOp.{', '.join(ReduceOp.__members__)}, got {op!r}"
    raise failure(SMDDPArgumentError, msg)


def _launched_alone(env: Mapping[str, str]) -> bool:
    """Whether a launcher started this world of one, and not the import of `smddp.torch` made it one."""
    if "TORCHELASTIC_RUN_ID" in env:
        return True
    return RECORD not in env and read_identity(env).source != "single"


def _tells_local_rank(name: str) -> bool:
    return name.endswith(("LOCAL_RANK", "LOCALRANKID", "LOCALID"))


# It is also the time in which the ranks have to meet, and milliseconds are not enough for that.
_SHORTEST_TIMEOUT: Final = timedelta(seconds=1)
# timedelta.max, meant as "no deadline", overflows in torch.
_LONGEST_TIMEOUT: Final = timedelta(days=3650)


def _usable_timeout(candidates: list[object]) -> timedelta | None:
    usable = (value for value in candidates if isinstance(value, timedelta) and value >= _SHORTEST_TIMEOUT)
    return next((min(value, _LONGEST_TIMEOUT) for value in usable), None)


def _timeout_of_environment() -> timedelta | None:
    settings = read_settings()
    return timedelta(seconds=settings.timeout) if "timeout" in settings.origins else None


_warned = False


def _warn_deprecated_once(rank: int) -> None:
    global _warned
    if rank == 0 and not _warned:
        _warned = True
        # FutureWarning is the category that Python shows to the people who run a program.
        warnings.warn(_DEPRECATED, FutureWarning, stacklevel=3)

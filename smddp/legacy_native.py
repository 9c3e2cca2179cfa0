"""What `smddpcommon`, the original's native module, offers: a sum over all ranks by address, and the bucket size.

The original's own benchmarks call it beside the older PyTorch module::

    import smddpcommon as hm

    task = hm.allReduce(t.data_ptr(), t.data_ptr(), hm.herringFloat32, t.numel(), index, total, task_id)
    hm.wait(task.request)

The ranks are those of torch.distributed's default group if backend "smddp" serves it, else those that `smddp.init`
joined. These sums and the other collectives of a rank come in one order, which is the same on all ranks. New code
passes tensors or arrays, which nobody can give a wrong length or free too early.
"""

from __future__ import annotations

import ctypes
import enum
import operator
import os
import sys
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from smddp.addresses import is_accessible
from smddp.errors import SMDDPArgumentError, SMDDPError, SMDDPStateError
from smddp.identity import read_identity

__all__ = [
    "FLOAT16",
    "FLOAT32",
    "DataType",
    "Request",
    "Task",
    "all_reduce",
    "bucket_bytes",
    "set_bucket_size",
    "wait",
]


class DataType(enum.Enum):
    """Element types, by the names that NumPy and torch share."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return _ITEM_BYTES[self]


FLOAT16: Final = DataType.FLOAT16
FLOAT32: Final = DataType.FLOAT32
_ITEM_BYTES: Final = {FLOAT16: 2, FLOAT32: 4}


class _Work(Protocol):
    """A running operation, of torch or of our own."""

    def wait(self) -> object: ...


class Request:
    """A sum that `wait` waits for."""

    __slots__ = ("_what", "_work")

    def __init__(self, work: _Work, what: str) -> None:
        self._work = work
        self._what = what

    def __repr__(self) -> str:
        return f"<smddpcommon request: {self._what}>"

    def wait(self) -> None:
        """As the function `wait`."""
        self._work.wait()


@dataclass(frozen=True, slots=True)
class Task:
    """What `all_reduce` answers: its `request` goes to `wait`."""

    request: Request


# --- Buckets -----------------------------------------------------------------------------------------------

_bucket_bytes: int | None = None


def set_bucket_size(bytes: int) -> None:
    """Let gradients share messages of at most so many bytes; equal on all ranks, before or after joining them.

    Counts for each DistributedDataParallel of the older module that is made later without `bucket_cap_mb`. Sums by
    address travel alone, whatever their size: here small messages need no company to be fast.

    Raises:
        SMDDPArgumentError: `bytes` is no whole number of at least 1.
    """
    global _bucket_bytes
    _bucket_bytes = _whole_number("setBucketSize: bytes", bytes, lowest=1)


def bucket_bytes() -> int | None:
    """The size that `set_bucket_size` has set; None before."""
    return _bucket_bytes


# --- Sums --------------------------------------------------------------------------------------------------


def all_reduce(in_ptr: int, out_ptr: int, dtype: DataType, numel: int, index: int, total: int, task_id: int) -> Task:
    """Start to add up what all ranks have at their `in_ptr`; all get the same bits at `out_ptr`.

    The memory stays the caller's, who has to keep it where it is, and leave it alone, until `wait` returns or raises:
    an address keeps nothing alive.

    Args:
        in_ptr: address of the numbers, as `data_ptr()` of a contiguous CPU tensor tells it.
        out_ptr: address of the result; equal to `in_ptr`, or 0 for the same place, or at no byte of it.
        dtype: `herringFloat16` or `herringFloat32`.
        numel: how many numbers; equal on all ranks.
        index: which of the sums that are under way together this is, from 0.
        total: how many those are. They need not all be started.
        task_id: any number, such as `smdistributed.dataparallel._get_id_for_herring_task()`; shown with the request.

    Raises:
        SMDDPStateError: the ranks have not been joined.
        SMDDPArgumentError: an argument that cannot be right; no other rank is involved then.
    """
    _require_joined()
    if not isinstance(dtype, DataType):
        _refuse(f"allReduce: dtype must be herringFloat16 or herringFloat32, got {dtype!r}")
    count = _whole_number("allReduce: numel", numel)
    total = _whole_number("allReduce: total", total, lowest=1)
    index = _whole_number("allReduce: index", index)
    if index >= total:
        _refuse(f"allReduce: index must be less than total, got index {index} of {total}")
    task_id = _whole_number("allReduce: task_id", task_id)
    buffer = _prepare(in_ptr, out_ptr, dtype, count)
    what = f"allReduce task {task_id}, {index} of {total}, {count} elements of {dtype.value}"
    return Task(Request(_start(buffer, dtype), what))


def wait(request: Request | Task) -> None:
    """Wait until the result is there. May be called again.

    Raises:
        SMDDPError: why there is none, as one of its subclasses.
    """
    pending = request.request if isinstance(request, Task) else request
    if not isinstance(pending, Request):
        _refuse(f"wait: expected the request of an allReduce, got {request!r}")
    pending.wait()


def _prepare(in_ptr: object, out_ptr: object, dtype: DataType, count: int) -> ctypes.Array[ctypes.c_char]:
    """The memory of the result, checked, with this rank's numbers in it."""
    nbytes = count * dtype.itemsize
    source = _address("in_ptr", in_ptr, nbytes, dtype)
    target = _address("out_ptr", out_ptr, nbytes, dtype) or source
    if nbytes:
        if source != target and abs(source - target) < nbytes:
            _refuse(f"allReduce: out_ptr {target:#x} lies inside the {nbytes} bytes at in_ptr {source:#x}")
        _require_accessible("in_ptr", source, nbytes, writable=False)
        _require_accessible("out_ptr", target, nbytes, writable=True)
        if source != target:
            ctypes.memmove(target, source, nbytes)
    return (ctypes.c_char * nbytes).from_address(target)


def _start(buffer: ctypes.Array[ctypes.c_char], dtype: DataType) -> _Work:
    work: _Work | None
    if _torch_serves():
        import torch
        import torch.distributed as dist

        kind = getattr(torch, dtype.value)
        # torch makes no tensor of an empty buffer
        tensor = torch.frombuffer(buffer, dtype=kind) if len(buffer) else torch.empty(0, dtype=kind)
        work = dist.all_reduce(tensor, async_op=True)
    else:
        import numpy as np

        from smddp.runtime import get_communicator

        array = np.ndarray(len(buffer) // dtype.itemsize, dtype.value, buffer=memoryview(buffer))
        work = get_communicator().all_reduce(array, async_op=True)
    assert work is not None  # None is for what is not asynchronous
    return work


# --- Who serves, and checks --------------------------------------------------------------------------------


def _torch_serves() -> bool:
    if "smddp.torch.backend" not in sys.modules:
        return False  # then torch has no group of ours, and may not even be there
    from smddp.torch.world import is_initialized

    return is_initialized()


def _require_joined() -> None:
    if _torch_serves():
        return
    from smddp.runtime import is_initialized

    if not is_initialized():
        msg = (
            "allReduce: the ranks have not been joined; call init_process_group() of "
            "smdistributed.dataparallel.torch.distributed, or smddp.init(), first"
        )
        raise _failure(SMDDPStateError, msg)


def _address(name: str, value: object, nbytes: int, dtype: DataType) -> int:
    address = _whole_number(f"allReduce: {name}", value)
    if address % dtype.itemsize:
        _refuse(f"allReduce: {name} {address:#x} is no multiple of {dtype.itemsize} bytes, one {dtype.value}")
    if address + nbytes > sys.maxsize:
        _refuse(f"allReduce: {nbytes} bytes at {name} {address:#x} are more than there are addresses")
    if address == 0 and nbytes and name == "in_ptr":
        _refuse("allReduce: in_ptr is 0, the address of nothing")
    return address


def _require_accessible(name: str, address: int, nbytes: int, *, writable: bool) -> None:
    if not is_accessible(address, nbytes, writable=writable):
        verb = "written" if writable else "read"
        _refuse(
            f"allReduce: the {nbytes} bytes at {name} {address:#x} cannot be {verb}; "
            "pass data_ptr() of a CPU tensor that is still there, and its numel()"
        )


def _whole_number(what: str, value: Any, *, lowest: int = 0) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = lowest - 1
    if number < lowest:
        _refuse(f"{what} must be a whole number of at least {lowest}, got {value!r}")
    return number


def _refuse(problem: str) -> NoReturn:
    raise _failure(SMDDPArgumentError, problem)


def _failure(cls: type[SMDDPError], problem: str) -> SMDDPError:
    """The exception of class `cls`, told by this rank; through torch it is also one of torch's."""
    if "smddp.torch.backend" in sys.modules:
        from smddp.torch.errors import failure

        return failure(cls, problem)
    from smddp import runtime
    from smddp.collectives import told_by

    try:
        rank = runtime.get_communicator().rank if runtime.is_initialized() else read_identity(os.environ).rank
    except SMDDPError:
        rank = 0  # an unreadable environment is an error of its own, and must not hide the one at hand
    return cls(told_by(rank, problem))

"""Collectives on NumPy arrays."""

from __future__ import annotations

import functools
import numbers
import operator
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from smddp import _core
from smddp.dtypes import dtype_of, reduce_op
from smddp.errors import SMDDPArgumentError
from smddp.identity import Identity

if TYPE_CHECKING:
    from smddp.topology import Topology

__all__ = ["Array", "Communicator", "Work", "to_duration", "told_by"]

Array = npt.NDArray[Any]

_LONGEST_SECONDS = 10_000_000


def told_by(rank: int, problem: str) -> str:
    """`problem` with the rank and the host that met it."""
    return f"rank {rank} ({socket.gethostname()}): {problem}"


def to_duration(rank: int, seconds: Any, *, shortest: float) -> timedelta:
    """A time-out given by the user of rank `rank`, in seconds; raises SMDDPArgumentError when it is none."""
    is_number = isinstance(seconds, numbers.Real)  # NumPy's numbers too
    if not is_number or not shortest <= seconds <= _LONGEST_SECONDS:
        problem = f"timeout: expected seconds from {shortest} to {_LONGEST_SECONDS}, got {seconds!r}"
        raise SMDDPArgumentError(told_by(rank, problem))
    return timedelta(seconds=float(seconds))


class Work:
    """Handle of an asynchronous operation; its arrays may not be touched until it is over."""

    def __init__(self, native: _core.Work, rank: int) -> None:
        self._native = native
        self._rank = rank

    def is_completed(self) -> bool:
        """Whether the operation is over, successfully or not."""
        return self._native.is_completed()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the operation is over.

        Args:
            timeout: longest wait in seconds; None waits as long as the operation's own deadline lets it run.

        Returns:
            True when it is over; False when `timeout` passed first.

        Raises:
            SMDDPError: why the operation failed, as one of its subclasses.
        """
        return self._native.wait(None if timeout is None else to_duration(self._rank, timeout, shortest=0))


class Communicator:
    """All ranks of the job. Every rank calls the same collectives in the same order.

    Arrays are C-contiguous NumPy arrays of float64, float32, float16, bfloat16 (ml_dtypes), intN, uintN or bool;
    what only moves elements takes complex64, complex128 and the float8 types of ml_dtypes as well. `op` is one of
    sum, product, min, max, average, and, or, xor. With `async_op=True` a collective returns a Work at once,
    otherwise it returns None when the result is there. All raise SMDDPArgumentError for arguments that cannot be
    right on any rank, and other SMDDPError subclasses for what went wrong between the ranks.
    """

    def __init__(self, native: _core.Communicator, identity: Identity) -> None:
        self._native = native
        self._identity = identity
        # For what is most frequent: plain arrays, at once. They say when the arguments need a closer look.
        self._all_reduce_now = native.make_collective_now(_core.Collective.all_reduce)
        self._reduce_now = native.make_collective_now(_core.Collective.reduce)
        self._broadcast_now = native.make_collective_now(_core.Collective.broadcast)
        self._all_gather_now = native.make_collective_now(_core.Collective.all_gather)
        self._reduce_scatter_now = native.make_collective_now(_core.Collective.reduce_scatter)
        self._all_to_all_now = native.make_collective_now(_core.Collective.all_to_all)

    @property
    def rank(self) -> int:
        """Number of this process, 0 .. size - 1."""
        return self._native.rank

    @property
    def size(self) -> int:
        """Number of processes in the job."""
        return self._native.world

    @property
    def local_rank(self) -> int:
        """Number of this process on its host, as the launcher says."""
        return self._identity.local_rank

    @property
    def local_size(self) -> int:
        """Number of the job's processes on this host, as the launcher says."""
        return self._identity.local_size

    @property
    def transport(self) -> str:
        """How the ranks reach each other: shm, tcp, ofi, shm+tcp, shm+ofi, or none for a world of one."""
        return self._native.transport

    @property
    def topology(self) -> Topology:
        """What the job runs on: hosts, NUMA nodes, rails, GPUs, and the host of each rank. Equal on all ranks."""
        from smddp.topology.native import from_native

        return from_native(self._native.topology())

    @functools.cached_property
    def bucket_bytes(self) -> int:
        """How many bytes of gradients should share one all_reduce. Equal on all ranks.

        25 MiB, as torch and the original have it, and more where each host's share of that would not fill a stripe
        of 128 KiB on every rail that all hosts have: from 51 hosts with 4 rails on, or from 7 with 32.
        """
        return _core.balanced_bucket_bytes(self._native.topology())

    def __repr__(self) -> str:
        return f"<smddp.Communicator rank {self.rank} of {self.size}, {self.transport}>"

    def all_reduce(self, array: Array, op: str = "sum", *, async_op: bool = False) -> Work | None:
        """Replace `array` by the reduction of all ranks' arrays (equal shape and dtype), in place.

        All ranks get the same bits. Floating-point sums are added in an order that depends only on the world and its
        placement; float16 and bfloat16 are accumulated in float32.
        """
        if not async_op and self._all_reduce_now(array, array, op, None):
            return None
        request = self._request(_core.Collective.all_reduce, array, op=op)
        request.count = array.size
        return self._run(request, array, array, async_op=async_op)

    def reduce(self, array: Array, root: int = 0, op: str = "sum", *, async_op: bool = False) -> Work | None:
        """Like all_reduce, but only `root` gets the result; the other ranks' arrays keep their values."""
        if not async_op and self._reduce_now(array, array, op, root):
            return None
        request = self._request(_core.Collective.reduce, array, op=op)
        request.count, request.root = array.size, self._root(root)
        return self._run(request, array, array, async_op=async_op)

    def broadcast(self, array: Array, root: int = 0, *, async_op: bool = False) -> Work | None:
        """Replace `array` by that of rank `root` (equal shape and dtype), in place."""
        if not async_op and self._broadcast_now(array, array, None, root):
            return None
        request = self._request(_core.Collective.broadcast, array)
        request.count, request.root = array.size, self._root(root)
        return self._run(request, None, array, async_op=async_op)

    def all_gather(self, output: Array, array: Array, *, async_op: bool = False) -> Work | None:
        """Fill `output` (size * array.size elements) with the arrays of all ranks, in rank order."""
        if not async_op and self._all_gather_now(output, array, None, None):
            return None
        request = self._request(_core.Collective.all_gather, array)
        request.count = array.size
        self._check_size("output", output, array.size * self.size, array.dtype)
        return self._run(request, array, output, async_op=async_op)

    def reduce_scatter(self, output: Array, array: Array, op: str = "sum", *, async_op: bool = False) -> Work | None:
        """Reduce all ranks' arrays (size * output.size elements) and leave part number `rank` in `output`."""
        if not async_op and self._reduce_scatter_now(output, array, op, None):
            return None
        request = self._request(_core.Collective.reduce_scatter, array, op=op)
        self._check_layout("output", output, writable=True)
        request.count = output.size
        self._check_size("array", array, output.size * self.size, output.dtype)
        return self._run(request, array, output, async_op=async_op)

    def all_to_all(self, output: Array, array: Array, *, async_op: bool = False) -> Work | None:
        """Send part number r of `array` to rank r and fill part number r of `output` with what it sent.

        Both have the same number of elements, a multiple of `size`.
        """
        if not async_op and self._all_to_all_now(output, array, None, None):
            return None
        request = self._request(_core.Collective.all_to_all, array)
        if array.size % self.size != 0:
            self._refuse(f"all_to_all: {array.size} elements cannot be divided among {self.size} ranks")
        request.count = array.size // self.size
        self._check_size("output", output, array.size, array.dtype)
        return self._run(request, array, output, async_op=async_op)

    def gather(self, output: Array | None, array: Array, root: int = 0, *, async_op: bool = False) -> Work | None:
        """Fill `output` of rank `root` (size * array.size elements) with the arrays of all ranks, in rank order.

        The other ranks' `output` is not used and may be None.
        """
        request = self._request(_core.Collective.gather, array)
        request.count, request.root = array.size, self._root(root)
        if self.rank != request.root:
            return self._run(request, array, None, async_op=async_op)
        self._check_size("output", output, array.size * self.size, array.dtype)
        return self._run(request, array, output, async_op=async_op)

    def scatter(self, output: Array, array: Array | None, root: int = 0, *, async_op: bool = False) -> Work | None:
        """Fill `output` with part number `rank` of the `array` of rank `root` (size * output.size elements).

        The other ranks' `array` is not used and may be None.
        """
        request = self._request(_core.Collective.scatter, output, name="output")
        request.count, request.root = output.size, self._root(root)
        if self.rank != request.root:
            return self._run(request, None, output, async_op=async_op)
        self._check_size("array", array, output.size * self.size, output.dtype)
        return self._run(request, array, output, async_op=async_op)

    def barrier(self, *, async_op: bool = False) -> Work | None:
        """Return when every rank has called it."""
        request = _core.Request()
        request.collective = _core.Collective.barrier
        return self._run(request, None, None, async_op=async_op)

    def _run(
        self, request: _core.Request, source: Array | None, target: Array | None, *, async_op: bool
    ) -> Work | None:
        if target is not None:
            self._check_layout("output", target, writable=True)
        request.synchronous = not async_op
        work = self._native.submit(
            request,
            0 if source is None else source.ctypes.data,
            0 if target is None else target.ctypes.data,
            (source, target),
        )
        if async_op:
            return Work(work, self.rank)
        work.wait()
        return None

    def _request(
        self, collective: _core.Collective, array: Array, *, op: str = "sum", name: str = "array"
    ) -> _core.Request:
        self._check_layout(name, array, writable=False)
        request = _core.Request()
        request.collective = collective
        try:
            request.dtype = dtype_of(array)
            request.op = reduce_op(op)
        except SMDDPArgumentError as problem:
            self._refuse(str(problem))
        return request

    def _root(self, root: Any) -> int:
        try:
            rank = operator.index(root)
        except TypeError:
            rank = -1
        if not 0 <= rank < self.size:
            self._refuse(f"root: expected a rank from 0 to {self.size - 1}, got {root!r}")
        return rank

    def _refuse(self, problem: str) -> NoReturn:
        raise SMDDPArgumentError(told_by(self.rank, problem))

    def _check_layout(self, name: str, array: object, *, writable: bool) -> None:
        if not isinstance(array, np.ndarray):
            self._refuse(f"{name}: expected a numpy.ndarray, got {type(array).__name__}")
        if not array.flags.c_contiguous:
            self._refuse(f"{name} is not C-contiguous; pass numpy.ascontiguousarray({name})")
        if writable and not array.flags.writeable:
            self._refuse(f"{name} is read-only, and the result is written into it; pass a copy")

    def _check_size(self, name: str, array: Array | None, elements: int, dtype: np.dtype[Any]) -> None:
        self._check_layout(name, array, writable=False)
        assert array is not None
        if array.size != elements or array.dtype != dtype:
            self._refuse(f"{name} must have {elements} elements of {dtype}, but has {array.size} of {array.dtype}")

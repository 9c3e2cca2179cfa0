"""The framework-free interface: one communicator over all ranks of the job, collectives on NumPy arrays."""

from __future__ import annotations

import atexit
import numbers
import operator
import os
import socket
import sys
import threading
from datetime import timedelta
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from smddp import _core
from smddp.alone import drop_inherited
from smddp.config import Settings, read_settings, to_native
from smddp.dtypes import dtype_of, reduce_op
from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.identity import Identity, read_identity, read_whole_number
from smddp.launcher_process import local_launcher_name

__all__ = [
    "Array",
    "Communicator",
    "Work",
    "acquire",
    "get_communicator",
    "init",
    "is_initialized",
    "shutdown",
]

Array = npt.NDArray[Any]

_LONGEST_SECONDS = 10_000_000
_HIGHEST_PORT = 65535


def acquire(settings: Settings) -> _core.Runtime:
    """The engine of this process, started when there is none; it leaves its groups in order at exit."""
    runtime = _core.Runtime.acquire(to_native(settings))
    # Registered again each time, so that it runs before the handlers of modules imported earlier.
    atexit.unregister(_core.leave_all)
    atexit.register(_core.leave_all)
    return runtime


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
        return self._native.wait(None if timeout is None else _duration(self._rank, timeout, shortest=0))


class Communicator:
    """All ranks of the job. Every rank calls the same collectives in the same order.

    Arrays are C-contiguous NumPy arrays of float64, float32, float16, bfloat16 (ml_dtypes), intN, uintN or bool. `op`
    is one of sum, product, min, max, average, and, or, xor. With `async_op=True` a collective returns a Work at once,
    otherwise it returns None when the result is there. All raise SMDDPArgumentError for arguments that cannot be
    right on any rank, and other SMDDPError subclasses for what went wrong between the ranks.
    """

    def __init__(self, native: _core.Communicator, identity: Identity) -> None:
        self._native = native
        self._identity = identity
        # For what is most frequent: a plain array, at once. It says when the arguments need a closer look.
        self._all_reduce_now = native.make_all_reduce_now()

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
        """How the ranks reach each other: shm, tcp, shm+tcp, or none for a world of one."""
        return self._native.transport

    def __repr__(self) -> str:
        return f"<smddp.Communicator rank {self.rank} of {self.size}, {self.transport}>"

    def all_reduce(self, array: Array, op: str = "sum", *, async_op: bool = False) -> Work | None:
        """Replace `array` by the reduction of all ranks' arrays (equal shape and dtype), in place.

        All ranks get the same bits. Floating-point sums are added in an order that depends only on the world and its
        placement; float16 and bfloat16 are accumulated in float32.
        """
        if not async_op and self._all_reduce_now(array, op):
            return None
        request = self._request(_core.Collective.all_reduce, array, op=op)
        request.count = array.size
        return self._run(request, array, array, async_op=async_op)

    def reduce(self, array: Array, root: int = 0, op: str = "sum", *, async_op: bool = False) -> Work | None:
        """Like all_reduce, but only `root` gets the result; the other ranks' arrays keep their values."""
        request = self._request(_core.Collective.reduce, array, op=op)
        request.count, request.root = array.size, self._root(root)
        return self._run(request, array, array, async_op=async_op)

    def broadcast(self, array: Array, root: int = 0, *, async_op: bool = False) -> Work | None:
        """Replace `array` by that of rank `root` (equal shape and dtype), in place."""
        request = self._request(_core.Collective.broadcast, array)
        request.count, request.root = array.size, self._root(root)
        return self._run(request, None, array, async_op=async_op)

    def all_gather(self, output: Array, array: Array, *, async_op: bool = False) -> Work | None:
        """Fill `output` (size * array.size elements) with the arrays of all ranks, in rank order."""
        request = self._request(_core.Collective.all_gather, array)
        request.count = array.size
        self._check_size("output", output, array.size * self.size, array.dtype)
        return self._run(request, array, output, async_op=async_op)

    def reduce_scatter(self, output: Array, array: Array, op: str = "sum", *, async_op: bool = False) -> Work | None:
        """Reduce all ranks' arrays (size * output.size elements) and leave part number `rank` in `output`."""
        request = self._request(_core.Collective.reduce_scatter, array, op=op)
        self._check_layout("output", output, writable=True)
        request.count = output.size
        self._check_size("array", array, output.size * self.size, output.dtype)
        return self._run(request, array, output, async_op=async_op)

    def all_to_all(self, output: Array, array: Array, *, async_op: bool = False) -> Work | None:
        """Send part number r of `array` to rank r and fill part number r of `output` with what it sent.

        Both have the same number of elements, a multiple of `size`.
        """
        request = self._request(_core.Collective.all_to_all, array)
        if array.size % self.size != 0:
            self._refuse(f"all_to_all: {array.size} elements cannot be divided among {self.size} ranks")
        request.count = array.size // self.size
        self._check_size("output", output, array.size, array.dtype)
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

    def _request(self, collective: _core.Collective, array: Array, *, op: str = "sum") -> _core.Request:
        self._check_layout("array", array, writable=False)
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
        raise SMDDPArgumentError(_told_by(self.rank, problem))

    def _check_layout(self, name: str, array: object, *, writable: bool) -> None:
        if not isinstance(array, np.ndarray):
            self._refuse(f"{name}: expected a numpy.ndarray, got {type(array).__name__}")
        if not array.flags.c_contiguous:
            self._refuse(f"{name} is not C-contiguous; pass numpy.ascontiguousarray({name})")
        if writable and not array.flags.writeable:
            self._refuse(f"{name} is read-only, and the result is written into it; pass a copy")

    def _check_size(self, name: str, array: Array, elements: int, dtype: np.dtype[Any]) -> None:
        self._check_layout(name, array, writable=False)
        if array.size != elements or array.dtype != dtype:
            self._refuse(f"{name} must have {elements} elements of {dtype}, but has {array.size} of {array.dtype}")


def _told_by(rank: int, problem: str) -> str:
    return f"rank {rank} ({socket.gethostname()}): {problem}"


def _duration(rank: int, seconds: Any, *, shortest: float) -> timedelta:
    is_number = isinstance(seconds, numbers.Real)  # NumPy's numbers too
    if not is_number or not shortest <= seconds <= _LONGEST_SECONDS:
        problem = f"timeout: expected seconds from {shortest} to {_LONGEST_SECONDS}, got {seconds!r}"
        raise SMDDPArgumentError(_told_by(rank, problem))
    return timedelta(seconds=float(seconds))


class _World:
    """The process's one communicator made by `init`, and what it needs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.communicator: Communicator | None = None
        self.runtime: _core.Runtime | None = None
        self.leave_grace = timedelta()
        # Lasts as long as the process: after a shutdown some ranks may meet again there before others have left.
        self.store: _core.Store | None = None
        self.lives = 0

    def open_store(self, identity: Identity, settings: Settings) -> _core.Store | None:
        """Where the ranks meet; None for a world of one."""
        if self.store is None and identity.size > 1:
            self.store = _core.open_job_store(_place(identity, settings))
        return self.store if identity.size > 1 else None

    def next_name(self) -> str:
        """A name for the group of all ranks that no earlier life has used; equal on all ranks."""
        self.lives += 1
        return "world" if self.lives == 1 else f"world {self.lives}"


_world = _World()


def init(*, rank: int | None = None, size: int | None = None, timeout: float | None = None) -> Communicator:
    """Join the other ranks of the job; returns when all are there.

    Rank and size come from the launcher's variables (torchrun, smddprun, mpirun, srun) unless given. Not launched,
    it is a world of one.

    Args:
        rank: number of this process; `size` must be given too.
        size: number of processes.
        timeout: deadline of each operation in seconds; default SMDDP_TIMEOUT (300).

    Raises:
        SMDDPStateError: already initialised.
        SMDDPConfigError: the environment is incomplete or holds a bad value.
        SMDDPTimeoutError: ranks did not join; the message names them.
    """
    with _world.lock:
        if _world.communicator is not None:
            problem = "init() called more than once; smddp is already initialised (see smddp.shutdown)"
            raise SMDDPStateError(_told_by(_world.communicator.rank, problem))
        settings = read_settings()
        drop_inherited(os.environ, os.getpid())
        identity = read_identity(os.environ, rank=rank, size=size)
        config = to_native(settings)
        if timeout is not None:
            config.timeout = _duration(identity.rank, timeout, shortest=0.001)
        runtime = acquire(settings)
        store = _world.open_store(identity, settings)
        native = runtime.create_communicator(identity.rank, identity.size, _world.next_name(), store, config)
        native.connect()
        log_version(settings, identity.rank, f"{identity.size} ranks, {native.transport}")
        _world.runtime = runtime
        _world.leave_grace = config.leave_grace
        _world.communicator = Communicator(native, identity)
        return _world.communicator


def _place(identity: Identity, settings: Settings) -> _core.JobPlace:
    place = _core.JobPlace()
    place.rank, place.size = identity.rank, identity.size
    place.local_size = identity.local_size if identity.local_known else identity.size
    place.master_addr = os.environ.get("MASTER_ADDR", "")
    place.port = _store_port(settings)
    place.job_id = identity.job_id or ""
    if not place.job_id and place.local_size == place.size:
        place.job_id = local_launcher_name() or ""
    place.job_secret = settings.job_secret
    return place


def _store_port(settings: Settings) -> int:
    # MASTER_PORT itself belongs to torch, which may run beside us.
    if settings.store_port:
        return settings.store_port
    for name, offset in (("SMDATAPARALLEL_SERVER_PORT", 0), ("MASTER_PORT", 1)):
        if os.environ.get(name):
            return read_whole_number(os.environ, name, low=1, high=_HIGHEST_PORT - offset) + offset
    return 0


_version_told = False


def log_version(settings: Settings, rank: int, facts: str) -> None:
    """The one line on standard output that SMDDP_DEBUG=VERSION asks for: once, by rank 0 of the job."""
    global _version_told
    if rank == 0 and not _version_told and settings.log_level in ("VERSION", "INFO", "TRACE"):
        from smddp import __version__

        _version_told = True
        # One write, because some launchers tag each write as a line of its own.
        sys.stdout.write(f"smddp {__version__}, {facts}\n")
        sys.stdout.flush()


def is_initialized() -> bool:
    """Whether `init` was called and `shutdown` was not."""
    return _world.communicator is not None


def get_communicator() -> Communicator:
    """The communicator that `init` made; raises SMDDPStateError before that."""
    if _world.communicator is None:
        msg = "smddp is not initialised; call smddp.init() first"
        raise SMDDPStateError(msg)
    return _world.communicator


def shutdown() -> None:
    """Finish what runs, tell the other ranks that this one leaves, and release everything. Legal at any time."""
    with _world.lock:
        communicator, _world.communicator = _world.communicator, None
        _world.runtime = None
        if communicator is not None:
            communicator._native.leave(_world.leave_grace)

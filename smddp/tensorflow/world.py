"""Joining and leaving the job, and who is in it. The ranks are those of `smddp.init`; no state lives here."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import tensorflow as tf

from smddp import runtime
from smddp.collectives import Communicator
from smddp.config import read_settings
from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.tensorflow.errors import failure
from smddp.tensorflow.library import register_gpu_kernels

__all__ = [
    "get_rank",
    "get_worker_comm",
    "get_world_size",
    "init",
    "is_initialized",
    "local_rank",
    "local_size",
    "rank",
    "require_world",
    "shutdown",
    "size",
    "transport_name",
]


def init() -> None:
    """Join the other ranks of the job; returns when all are there.

    Ranks come from the launcher's variables; a process that nobody launched is a world of one. Touches no device, so
    scripts may choose theirs afterwards.

    Raises:
        SMDDPStateError: already initialized.
        SMDDPConfigError: the environment is incomplete or holds a bad value.
        SMDDPTimeoutError: ranks did not join; the message names them.
    """
    if runtime.is_initialized():
        msg = "init() called more than once. smdistributed.dataparallel is already initialized."
        raise failure(SMDDPStateError, msg)
    runtime.init()
    runtime.keyed_group()
    serves_gpus, wanted = tf.test.is_built_with_cuda(), read_settings().tensorflow_gpu
    if wanted == "on" or (wanted == "auto" and serves_gpus):
        register_gpu_kernels()
    elif serves_gpus and rank() == 0:
        print(
            "smddp: WARN SMDDP_TENSORFLOW_GPU=off: TensorFlow copies the GPU's tensors to host memory for collectives, "
            "and back",
            file=sys.stderr,
        )


def shutdown() -> None:
    """Leave the job in order. Legal at any time; `init` may follow."""
    runtime.shutdown()


def is_initialized() -> bool:
    """Whether `init` was called and `shutdown` was not."""
    return runtime.is_initialized()


def size() -> int:
    """Number of processes in the job, over all hosts."""
    return require_world("size").size


def rank() -> int:
    """Rank of this process among all processes of the job, from 0."""
    return require_world("rank").rank


def local_size() -> int:
    """Number of the job's processes on this host."""
    return require_world("local_size").local_size


def local_rank() -> int:
    """Rank of this process among those of its host, from 0."""
    return require_world("local_rank").local_rank


def get_world_size() -> int:
    """As `size`."""
    return require_world("get_world_size").size


def get_rank() -> int:
    """As `rank`."""
    return require_world("get_rank").rank


def transport_name(*, device: str = "cpu") -> str:
    """How tensors of the ranks reach each other.

    Args:
        device: "cpu" or "gpu", where the tensors are.

    Returns:
        On the CPU: none (a world of one), shm, tcp, ofi, shm+tcp, shm+ofi. On GPUs: nccl, ipc for smddp's own kernels,
        nccl+host and ipc+host where host memory is for what goes between hosts, or host+ and one of the first;
        unconnected before their first collective.

    Raises:
        SMDDPStateError: before `init`.
        SMDDPArgumentError: another device.
    """
    world = require_world("transport_name")
    if device not in ("cpu", "gpu"):
        raise failure(SMDDPArgumentError, f"transport_name: device must be 'cpu' or 'gpu', not {device!r}")
    return world.transport if device == "cpu" else runtime.gpu_transport()


def get_worker_comm() -> Any:
    """The communicator of mpi4py with the same ranks: `MPI.COMM_WORLD` of a job that mpirun started.

    Raises:
        SMDDPStateError: before `init`; mpi4py or an MPI library is missing; MPI counts other ranks.
    """
    world = require_world("get_worker_comm")
    try:
        mpi = importlib.import_module("mpi4py.MPI").COMM_WORLD
    except (ImportError, RuntimeError) as error:
        raise failure(SMDDPStateError, f"get_worker_comm: needs mpi4py and an MPI library: {error}") from None
    if (mpi.rank, mpi.size) != (world.rank, world.size):
        msg = (
            f"get_worker_comm: this is rank {mpi.rank} of {mpi.size} for MPI and rank {world.rank} of {world.size} for "
            "smdistributed.dataparallel; start the job with mpirun"
        )
        raise failure(SMDDPStateError, msg)
    return mpi


def require_world(caller: str) -> Communicator:
    """The job's ranks.

    Args:
        caller: what needs them; the message starts with it.

    Raises:
        SMDDPStateError: before `init` and after `shutdown`.
    """
    if not runtime.is_initialized():
        raise failure(SMDDPStateError, f"{caller}: smdistributed.dataparallel is not initialized; call init() first")
    return runtime.get_communicator()

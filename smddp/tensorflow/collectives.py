"""Collectives on TensorFlow tensors, eagerly and in graphs.

All ranks call the same ones with the same dtypes; in a graph each rank executes them in the order it likes. All are
differentiable, the minimum and the maximum excepted. `name` shows up in errors, and is equal on all ranks.

Errors: SMDDPStateError before init(), SMDDPArgumentError for bad arguments, and what the engine reports of a running
collective (in a tf.function as `tf.errors.OpError`, see `smddp.tensorflow.errors`).
"""

from __future__ import annotations

import enum
import operator
from typing import Any, Final

import tensorflow as tf

from smddp import runtime
from smddp.errors import SMDDPArgumentError
from smddp.tensorflow.compression import Compression, Compressor
from smddp.tensorflow.errors import call, failure
from smddp.tensorflow.keys import make_key
from smddp.tensorflow.library import OPS
from smddp.tensorflow.untraced import as_written
from smddp.tensorflow.world import require_world

__all__ = [
    "ReduceOp",
    "allgather",
    "allreduce",
    "alltoall",
    "barrier",
    "broadcast",
    "join",
    "oob_allreduce",
    "overlap",
    "reducescatter",
    "to_root",
]


class ReduceOp(enum.Enum):
    """How the values of all ranks are combined. AVERAGE is the sum divided by the number of ranks."""

    AVERAGE = "average"
    SUM = "sum"
    MIN = "min"
    MAX = "max"


_REDUCED: Final = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int8, tf.uint8, tf.int32, tf.int64)
_MOVED: Final = (*_REDUCED, tf.bool)


@as_written
def allreduce(
    tensor: Any = None,
    param_index: int = 0,
    num_params: int = 1,
    compression: Compressor = Compression.none,
    op: ReduceOp | None = ReduceOp.AVERAGE,
    *,
    grad: Any = None,
    name: str | None = None,
) -> Any:
    """The reduction of all ranks' tensors, of the same shape and dtype.

    Args:
        tensor: of equal shape and dtype on all ranks; also a variable, numbers in lists, or tf.IndexedSlices, which
            are made dense.
        param_index: not needed here; the original's buffer counted with it.
        num_params: not needed here.
        compression: what the values are sent as.
        op: None is AVERAGE, which integers do not have.
        grad: the other name of `tensor`.
        name: see above.
    """
    del param_index, num_params
    if (tensor is None) == (grad is None):
        raise failure(SMDDPArgumentError, "allreduce: takes one tensor, as `tensor` or as `grad`")
    return _reduce("allreduce", grad if tensor is None else tensor, compression, op, name)


@as_written
def oob_allreduce(
    tensor: Any,
    compression: Compressor = Compression.none,
    op: ReduceOp | None = ReduceOp.AVERAGE,
    *,
    name: str | None = None,
) -> Any:
    """As `allreduce`, for what is no gradient: losses and metrics."""
    return _reduce("oob_allreduce", tensor, compression, op, name)


@as_written
def broadcast(tensor: Any, root_rank: int, name: str | None = None) -> Any:
    """The tensor of rank `root_rank`; all have the same shape and dtype."""
    require_world("broadcast")
    value = to_tensor("broadcast", tensor, _MOVED)
    root = to_root("broadcast", root_rank)
    names = [] if name is None else [name]
    key = make_key("broadcast", name)
    return call(OPS.smddp_broadcast, [value], root=root, key=key, names=names)[0]


@as_written
def allgather(tensor: Any, name: str | None = None) -> Any:
    """The tensors of all ranks one after the other, along their first dimension, which alone may differ."""
    require_world("allgather")
    value = _with_rows("allgather", tensor, _MOVED)
    return call(OPS.smddp_all_gather, value, key=make_key("allgather", name))


@as_written
def reducescatter(tensor: Any, op: ReduceOp | None = ReduceOp.AVERAGE, name: str | None = None) -> Any:
    """This rank's share of the reduction of all ranks' tensors.

    The first dimension is divided as evenly as possible; lower ranks get the rows that are left over.
    """
    require_world("reducescatter")
    value = _with_rows("reducescatter", tensor, _REDUCED)
    how = _to_op("reducescatter", op, value.dtype)
    return call(OPS.smddp_reduce_scatter, value, reduce_op=how, key=make_key("reducescatter", name))


@as_written
def alltoall(tensor: Any, splits: Any = None, name: str | None = None) -> Any:
    """Send each rank some rows of the first dimension, and get some from each, in rank order.

    Args:
        tensor: of equal shape on all ranks but for its first dimension.
        splits: rows for each rank, adding up to the tensor's; None divides them evenly.
        name: see above.

    Returns:
        The rows, and with `splits` given also how many came from each rank, in int32.
    """
    world = require_world("alltoall")
    value = _with_rows("alltoall", tensor, _MOVED)
    counts = _even_splits(value, world.size) if splits is None else tf.cast(splits, tf.int32)
    rows, received = call(OPS.smddp_all_to_all, value, counts, key=make_key("alltoall", name))
    return rows if splits is None else (rows, received)


@as_written
def barrier(name: str | None = None) -> Any:
    """Return when every rank has come; in a graph of TensorFlow 1 an op that does."""
    require_world("barrier")
    return call(OPS.smddp_barrier, key=make_key("barrier", name))


@as_written
def join() -> int:
    """Wait until every rank has called this; for ranks that have different numbers of batches.

    Until then this rank brings nothing to what the others run: zeros to sums and averages, which are divided by the
    number of all ranks as ever. It can do so in `allreduce` (so in gradients and metrics), `barrier`, and `broadcast`
    of another rank; any other function fails on every rank.

    Returns:
        The rank that has run the most, the lowest of them when there are several. Its variables have seen all
        batches: give them to the others with `broadcast_variables`.

    Raises:
        SMDDPArgumentError: called in a tf.function.
        SMDDPPeerLostError: a rank left without having joined.
    """
    require_world("join")
    if tf.inside_function():
        raise failure(SMDDPArgumentError, "join: call it outside of tf.function, after the last batch")
    return runtime.keyed_group().join()


def overlap(tensor: Any) -> Any:
    """The tensor. Gradients overlap with the backward pass here without being told."""
    return tf.identity(tensor)


def to_root(caller: str, root_rank: Any) -> int:
    """A rank of the job; raises SMDDPArgumentError when it is none."""
    world = require_world(caller)
    try:
        root = operator.index(root_rank)
    except TypeError:
        root = -1
    if not 0 <= root < world.size:
        msg = f"{caller}: root_rank: expected a rank from 0 to {world.size - 1}, got {root_rank!r}"
        raise failure(SMDDPArgumentError, msg)
    return root


def to_tensor(caller: str, value: Any, dtypes: tuple[Any, ...] = _REDUCED) -> Any:
    """A dense tensor of one of these dtypes; raises SMDDPArgumentError for others."""
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype not in dtypes:
        known = ", ".join(dtype.name for dtype in dtypes)
        raise failure(SMDDPArgumentError, f"{caller}: dtype {tensor.dtype.name} is not one of {known}; use tf.cast")
    return tensor


def _reduce(caller: str, value: Any, compression: Compressor, op: ReduceOp | None, name: str | None) -> Any:
    require_world(caller)
    sent, context = compression.compress(to_tensor(caller, value))
    how = _to_op(caller, op, sent.dtype)
    names = [] if name is None else [name]
    (result,) = call(OPS.smddp_all_reduce, [sent], reduce_op=how, key=make_key(caller, name), names=names)
    return compression.decompress(result, context)


def _to_op(caller: str, op: ReduceOp | None, dtype: Any) -> str:
    chosen = ReduceOp.AVERAGE if op is None else op
    if not isinstance(chosen, ReduceOp):
        raise failure(SMDDPArgumentError, f"{caller}: op: expected a ReduceOp, got {op!r}")
    if chosen is ReduceOp.AVERAGE and not dtype.is_floating:
        msg = f"{caller}: dtype {dtype.name} has no average; use op=ReduceOp.SUM, or tf.cast to a floating dtype"
        raise failure(SMDDPArgumentError, msg)
    return chosen.value


def _with_rows(caller: str, value: Any, dtypes: tuple[Any, ...]) -> Any:
    tensor = to_tensor(caller, value, dtypes)
    if tensor.shape.rank == 0:
        msg = f"{caller}: needs a tensor with a first dimension, got a scalar; use tf.reshape(tensor, [1])"
        raise failure(SMDDPArgumentError, msg)
    return tensor


def _even_splits(tensor: Any, size: int) -> Any:
    rows = tensor.shape[0]
    if rows is not None and rows % size:
        msg = f"alltoall: {rows} rows do not divide evenly among {size} ranks; give splits"
        raise failure(SMDDPArgumentError, msg)
    return tf.fill([size], tf.shape(tensor)[0] // size)

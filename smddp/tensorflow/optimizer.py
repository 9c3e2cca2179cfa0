"""Optimizers that average gradients over all ranks before they use them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from smddp.errors import SMDDPArgumentError
from smddp.tensorflow.collectives import ReduceOp, to_root
from smddp.tensorflow.compression import Compression, Compressor
from smddp.tensorflow.errors import failure
from smddp.tensorflow.loss_scaling import average_before_check, average_in_apply, reduction_of
from smddp.tensorflow.reduction import Reduction, check_options, reduce_gradients
from smddp.tensorflow.untraced import as_written
from smddp.tensorflow.variables import broadcast_global_variables
from smddp.tensorflow.world import require_world

__all__ = ["BroadcastGlobalVariablesHook", "DistributedOptimizer"]

_CALLER = "DistributedOptimizer"
_BUCKET_MULTIPLE = 128


def DistributedOptimizer(  # noqa: N802 - the original's name
    optimizer: Any,
    name: str | None = None,
    use_locking: bool = False,
    device_dense: str = "",
    device_sparse: str = "",
    compression: Compressor = Compression.none,
    sparse_as_dense: bool = True,
    op: ReduceOp | None = ReduceOp.AVERAGE,
    bucket_cap_mb: float | None = None,
) -> Any:
    """The optimizer, which from now on averages gradients over all ranks.

    An optimizer of Keras does so in `apply` and `apply_gradients`, so in `minimize` and `model.fit` too (which needs
    `compile(..., jit_compile=False)`); one of tf.compat.v1.train in `compute_gradients`, so in `minimize` too. One of
    tf_keras leaves out what comes with `skip_gradients_aggregation` or without `experimental_aggregate_gradients`.

    Args:
        optimizer: changed in place: its class becomes one derived from the former, of the same name.
        name: not needed here; a text.
        use_locking: not needed here.
        device_dense: not supported, must be empty.
        device_sparse: not supported, must be empty.
        compression: what gradients are sent as.
        sparse_as_dense: make tf.IndexedSlices dense; otherwise their rows are gathered from all ranks.
        op: AVERAGE, or None for it.
        bucket_cap_mb: MiB of gradients that travel together; a multiple of 128 bytes. None: 25, or more between many
            hosts (`smddp.Communicator.bucket_bytes`).

    Raises:
        SMDDPStateError: before `init`.
        SMDDPArgumentError: an argument is not supported.
    """
    del use_locking
    world = require_world(_CALLER)
    _check_name(name)
    check_options(_CALLER, op, {"device_dense": device_dense, "device_sparse": device_sparse})
    size = world.bucket_bytes if bucket_cap_mb is None else _to_bytes(bucket_cap_mb)
    how = Reduction(compression=compression, sparse_as_dense=sparse_as_dense, bucket_bytes=size)
    _make_averaging(optimizer, how)
    return optimizer


class BroadcastGlobalVariablesHook(tf.compat.v1.train.SessionRunHook):  # type: ignore[misc] # untyped
    """Gives all ranks the global variables of rank `root_rank` when a session of TensorFlow 1 begins.

    Args:
        root_rank: whose variables.
        device: not needed here.
    """

    def __init__(self, root_rank: int, device: str = "") -> None:
        super().__init__()
        del device
        self._root = to_root("BroadcastGlobalVariablesHook", root_rank)
        self._start: Any = None
        self._graph: Any = None

    def begin(self) -> None:
        """Add the op to the graph, once for each."""
        graph = tf.compat.v1.get_default_graph()
        if self._graph is not graph:
            self._graph, self._start = graph, broadcast_global_variables(self._root)

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Run it."""
        del coord
        session.run(self._start)


def _check_name(name: object) -> None:
    # DistributedOptimizer(optimizer, Compression.fp16) is an easy mistake.
    if name is not None and not isinstance(name, str):
        msg = f"{_CALLER}: name: expected a text, got {name!r}; pass a compression as compression=..."
        raise failure(SMDDPArgumentError, msg)


def _to_bytes(bucket_cap_mb: float) -> int:
    size = bucket_cap_mb * 1024 * 1024
    if size <= 0 or size % _BUCKET_MULTIPLE:
        msg = f"{_CALLER}: bucket_cap_mb: expected a multiple of {_BUCKET_MULTIPLE} bytes, got {bucket_cap_mb} MiB"
        raise failure(SMDDPArgumentError, msg)
    return int(size)


def _make_averaging(optimizer: Any, how: Reduction) -> None:
    # Who has an optimizer of Keras has imported it.
    keras, tf_keras = sys.modules.get("keras"), sys.modules.get("tf_keras")
    if keras is not None and isinstance(optimizer, keras.optimizers.Optimizer):
        average_before_check(keras.optimizers.LossScaleOptimizer)
        _derive(optimizer, average_in_apply(type(optimizer), how))
    elif tf_keras is not None and isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        # It calls the methods below of the optimizer inside, before it looks for overflow.
        _make_averaging(optimizer.inner_optimizer, how)
    elif tf_keras is not None and isinstance(optimizer, tf_keras.optimizers.Optimizer):
        _derive(optimizer, _average_in_aggregate(type(optimizer), "aggregate_gradients", how))
    elif tf_keras is not None and isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer):
        _derive(optimizer, _average_in_aggregate(type(optimizer), "_aggregate_gradients", how))
    elif isinstance(optimizer, tf.compat.v1.train.Optimizer):
        _derive(optimizer, _average_in_compute(type(optimizer), how))
    else:
        known = "keras.optimizers, tf_keras.optimizers or tf.compat.v1.train"
        msg = f"{_CALLER}: expected an optimizer of {known}, got {type(optimizer).__name__}"
        raise failure(SMDDPArgumentError, msg)


def _average_in_aggregate(base: Any, method: str, how: Reduction) -> dict[str, Any]:
    # Where these optimizers add up the gradients of several devices; not called by who has done so.
    former = getattr(base, method)

    @as_written
    def aggregate(self: Any, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        return former(self, _average_pairs(grads_and_vars, how))

    return {method: aggregate, "_smddp_reduction": how}


def _average_in_compute(base: Any, how: Reduction) -> dict[str, Any]:
    @as_written
    def compute_gradients(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _average_pairs(base.compute_gradients(self, *args, **kwargs), how)

    return {"compute_gradients": compute_gradients, "_smddp_reduction": how}


def _average_pairs(grads_and_vars: Iterable[tuple[Any, Any]], how: Reduction) -> list[tuple[Any, Any]]:
    pairs = list(grads_and_vars)
    variables = [variable for _, variable in pairs]
    averages = reduce_gradients([gradient for gradient, _ in pairs], variables, how)
    return list(zip(averages, variables, strict=True))


def _derive(optimizer: Any, members: dict[str, Any]) -> None:
    base = type(optimizer)
    if any(reduction_of(one) is not None for one in (optimizer, getattr(optimizer, "inner_optimizer", None))):
        raise failure(SMDDPArgumentError, f"{_CALLER}: this {base.__name__} averages over all ranks already")
    # Module and name stay, by which Keras saves an optimizer: a saved model can be loaded without smddp.
    members = {"__doc__": base.__doc__, "__module__": base.__module__, **members}
    optimizer.__class__ = type(base.__name__, (base,), members)

"""Optimizers that average gradients over all ranks before they use them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from smddp.errors import SMDDPArgumentError
from smddp.tensorflow.collectives import ReduceOp, to_root
from smddp.tensorflow.compression import Compression, Compressor
from smddp.tensorflow.errors import failure
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
    bucket_cap_mb: float = 25,
) -> Any:
    """The optimizer, which from now on averages gradients over all ranks.

    An optimizer of Keras does so in `apply` and `apply_gradients`, so in `model.fit` too (which needs
    `compile(..., jit_compile=False)`); one of tf.compat.v1.train in `compute_gradients`, so in `minimize` too.

    Args:
        optimizer: changed in place: its class becomes one derived from the former, of the same name.
        name: not needed here.
        use_locking: not needed here.
        device_dense: not supported, must be empty.
        device_sparse: not supported, must be empty.
        compression: what gradients are sent as.
        sparse_as_dense: make tf.IndexedSlices dense; otherwise their rows are gathered from all ranks.
        op: AVERAGE, or None for it.
        bucket_cap_mb: MiB of gradients that travel together; a multiple of 128 bytes.

    Raises:
        SMDDPStateError: before `init`.
        SMDDPArgumentError: an argument is not supported.
    """
    del name, use_locking
    require_world(_CALLER)
    check_options(_CALLER, op, {"device_dense": device_dense, "device_sparse": device_sparse})
    bucket_bytes = int(bucket_cap_mb * 1024 * 1024)
    if bucket_bytes <= 0 or bucket_cap_mb * 1024 * 1024 % _BUCKET_MULTIPLE:
        msg = f"{_CALLER}: bucket_cap_mb: expected a multiple of {_BUCKET_MULTIPLE} bytes, got {bucket_cap_mb} MiB"
        raise failure(SMDDPArgumentError, msg)
    how = Reduction(compression=compression, sparse_as_dense=sparse_as_dense, bucket_bytes=bucket_bytes)
    _derive(optimizer, _methods(optimizer, how))
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


def _methods(optimizer: Any, how: Reduction) -> dict[str, Any]:
    keras = sys.modules.get("keras")  # who has an optimizer of Keras has imported it
    if keras is not None and isinstance(optimizer, keras.optimizers.Optimizer):
        return {"apply": _averaging_apply(type(optimizer), how)}
    if isinstance(optimizer, tf.compat.v1.train.Optimizer):
        return {"compute_gradients": _averaging_compute(type(optimizer), how)}
    kind = type(optimizer).__name__
    msg = f"{_CALLER}: expected an optimizer of keras.optimizers or tf.compat.v1.train, got {kind}"
    raise failure(SMDDPArgumentError, msg)


def _averaging_apply(base: Any, how: Reduction) -> Any:
    @as_written
    def apply(self: Any, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        return base.apply(self, reduce_gradients(list(grads), variables, how), trainable_variables)

    return apply


def _averaging_compute(base: Any, how: Reduction) -> Any:
    @as_written
    def compute_gradients(self: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = base.compute_gradients(self, *args, **kwargs)
        variables = [variable for _, variable in pairs]
        averages = reduce_gradients([gradient for gradient, _ in pairs], variables, how)
        return list(zip(averages, variables, strict=True))

    return compute_gradients


def _derive(optimizer: Any, methods: dict[str, Any]) -> None:
    base = type(optimizer)
    if hasattr(base, "_smddp_averages"):
        raise failure(SMDDPArgumentError, f"{_CALLER}: this {base.__name__} averages over all ranks already")
    # Module and name stay, by which Keras saves an optimizer: a saved model can be loaded without smddp.
    members = {"__doc__": base.__doc__, "__module__": base.__module__, "_smddp_averages": True, **methods}
    optimizer.__class__ = type(base.__name__, (base,), members)

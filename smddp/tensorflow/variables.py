"""Giving all ranks the variables of one: at the start of training, or after one rank has read a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import tensorflow as tf

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.tensorflow.buckets import plan_buckets
from smddp.tensorflow.collectives import to_root
from smddp.tensorflow.errors import call, failure
from smddp.tensorflow.keys import make_key
from smddp.tensorflow.library import OPS
from smddp.tensorflow.untraced import as_written
from smddp.tensorflow.world import require_world

__all__ = ["broadcast_global_variables", "broadcast_variables", "name_variable"]

_FUSED_BYTES: Final = 64 * 1024 * 1024
"""Of variables that travel together; enough that the number of collectives does not count."""

_CARRIERS: Final = {
    **{dtype: dtype for dtype in (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int8, tf.uint8, tf.int32)},
    tf.int64: tf.int64,
    tf.bool: tf.bool,
    # Seed generators of Keras count in uint32; bits are bits.
    tf.uint32: tf.int32,
    tf.uint64: tf.int64,
    tf.int16: tf.float16,
    tf.uint16: tf.float16,
}


@as_written
def broadcast_variables(variables: Iterable[Any], root_rank: int = 0) -> Any:
    """Assign each variable its value on rank `root_rank`.

    Args:
        variables: of TensorFlow or Keras; as many, of the same shapes and dtypes, in the same order on all ranks.
        root_rank: whose values all get.

    Returns:
        None; in a graph of TensorFlow 1 the op that does it.
    """
    require_world("broadcast_variables")
    root = to_root("broadcast_variables", root_rank)
    by_carrier: dict[Any, list[Any]] = {}
    for variable in variables:
        by_carrier.setdefault(_carrier(variable), []).append(variable)
    assigned = [
        _assign_fused([of_carrier[position] for position in bucket], root, carrier)
        for carrier, of_carrier in by_carrier.items()
        for bucket in plan_buckets([_bytes(variable, carrier) for variable in of_carrier], _FUSED_BYTES)
    ]
    in_session = not tf.executing_eagerly() and not tf.compat.v1.get_default_graph().building_function
    return tf.group(*assigned) if in_session else None


@as_written
def broadcast_global_variables(root_rank: int) -> Any:
    """As `broadcast_variables` of all global variables of a TensorFlow 1 graph."""
    require_world("broadcast_global_variables")
    if tf.executing_eagerly():
        msg = "broadcast_global_variables: there are no global variables in eager execution; use broadcast_variables"
        raise failure(SMDDPStateError, msg)
    return broadcast_variables(tf.compat.v1.global_variables(), root_rank)


def name_variable(variable: Any, position: int) -> str:
    """What errors call the variable; "variable N" for what is none."""
    if not isinstance(variable, tf.Variable) and not hasattr(variable, "path"):
        return f"variable {position}"  # tensors have names that TensorFlow makes up
    name: str = getattr(variable, "path", None) or variable.name
    return name.removesuffix(":0")


def _assign_fused(variables: list[Any], root: int, carrier: Any) -> Any:
    values = [_as(tf.convert_to_tensor(variable), carrier) for variable in variables]
    names = [name_variable(variable, position) for position, variable in enumerate(variables)]
    key = make_key("broadcast_variables", carrier.name)
    results = call(OPS.smddp_broadcast, values, root=root, key=key, names=names)
    pairs = zip(variables, results, strict=True)
    return tf.group(*[variable.assign(_as(result, tf.as_dtype(variable.dtype))) for variable, result in pairs])


def _as(tensor: Any, dtype: Any) -> Any:
    return tensor if tensor.dtype == dtype else tf.bitcast(tensor, dtype)


def _carrier(variable: Any) -> Any:
    dtype = tf.as_dtype(variable.dtype)
    if dtype not in _CARRIERS:
        msg = f"broadcast_variables: {name_variable(variable, 0)} has dtype {dtype.name}, which cannot be sent"
        raise failure(SMDDPArgumentError, msg)
    return _CARRIERS[dtype]


def _bytes(variable: Any, carrier: Any) -> int:
    elements = tf.TensorShape(variable.shape).num_elements()
    return (elements or 0) * int(carrier.size)

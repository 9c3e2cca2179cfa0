"""The gradients of the native ops; importing this module registers them.

A rank's result depends on all ranks' tensors, so the gradient of a tensor is made of all ranks' gradients of their
results: collectives again, under keys of their own.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from smddp.errors import SMDDPArgumentError
from smddp.tensorflow.errors import call, failure
from smddp.tensorflow.keys import derived_key
from smddp.tensorflow.library import OPS
from smddp.tensorflow.world import require_world

__all__: list[str] = []

_LINEAR = ("sum", "average")


def _all_reduce(op: Any, *gradients: Any) -> Any:
    how = _linear(op)
    key, names = derived_key(_text(op, "key"), "grad"), _names(op)
    return call(OPS.smddp_all_reduce, _given(op, gradients), reduce_op=how, key=key, names=names)


def _broadcast(op: Any, *gradients: Any) -> Any:
    key, names = derived_key(_text(op, "key"), "grad"), _names(op)
    sums = call(OPS.smddp_all_reduce, _given(op, gradients), reduce_op="sum", key=key, names=names)
    # The tensors of the other ranks have no influence.
    is_root = require_world("broadcast").rank == op.get_attr("root")
    return sums if is_root else [tf.zeros_like(output) for output in op.outputs]


def _all_gather(op: Any, gradient: Any) -> Any:
    key = _text(op, "key")
    (total,) = call(OPS.smddp_all_reduce, [gradient], reduce_op="sum", key=derived_key(key, "grad"), names=[])
    own = tf.shape(op.inputs[0], out_type=tf.int64)[0]
    counts = call(OPS.smddp_all_gather, tf.reshape(own, [1]), key=derived_key(key, "grad rows"))
    start = tf.reduce_sum(counts[: require_world("allgather").rank])
    return total[start : start + own]


def _reduce_scatter(op: Any, gradient: Any) -> Any:
    how = _linear(op)
    whole = call(OPS.smddp_all_gather, gradient, key=derived_key(_text(op, "key"), "grad"))
    return whole / tf.cast(require_world("reducescatter").size, whole.dtype) if how == "average" else whole


def _all_to_all(op: Any, gradient: Any, _: Any) -> Any:
    rows, _ = call(OPS.smddp_all_to_all, gradient, op.outputs[1], key=derived_key(_text(op, "key"), "grad"))
    return rows, None


def _linear(op: Any) -> str:
    how = _text(op, "reduce_op")
    if how not in _LINEAR:
        raise failure(SMDDPArgumentError, f"a reduction by {how} has no gradient; only sum and average have one")
    return how


def _given(op: Any, gradients: tuple[Any, ...]) -> list[Any]:
    # None stands for results that nobody used.
    pairs = zip(gradients, op.outputs, strict=True)
    return [tf.zeros_like(output) if gradient is None else gradient for gradient, output in pairs]


def _names(op: Any) -> list[str]:
    return [tf.compat.as_str(name) for name in op.get_attr("names")]


def _text(op: Any, attribute: str) -> str:
    text: str = tf.compat.as_str(op.get_attr(attribute))
    return text


for _name, _function in {
    "SmddpAllReduce": _all_reduce,
    "SmddpBroadcast": _broadcast,
    "SmddpAllGather": _all_gather,
    "SmddpReduceScatter": _reduce_scatter,
    "SmddpAllToAll": _all_to_all,
}.items():
    tf.RegisterGradient(_name)(_function)

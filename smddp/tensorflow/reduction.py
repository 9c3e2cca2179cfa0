"""Averaging gradients over the ranks: in buckets, each of which starts as soon as its gradients are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from smddp.errors import SMDDPArgumentError
from smddp.tensorflow.buckets import plan_buckets
from smddp.tensorflow.collectives import ReduceOp, to_tensor
from smddp.tensorflow.compression import Compressor
from smddp.tensorflow.errors import call, failure
from smddp.tensorflow.keys import make_key
from smddp.tensorflow.library import OPS
from smddp.tensorflow.variables import name_variable
from smddp.tensorflow.world import require_world

__all__ = ["Reduction", "check_options", "reduce_gradients"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """How gradients are averaged; equal on all ranks.

    `sparse_as_dense` makes tf.IndexedSlices dense; otherwise their rows are gathered from all ranks.
    """

    compression: Compressor
    sparse_as_dense: bool = True
    bucket_bytes: int


def check_options(caller: str, op: object, devices: dict[str, str]) -> None:
    """Raise SMDDPArgumentError for what the original does not support either.

    Args:
        caller: whose arguments these are.
        op: AVERAGE, or None for it.
        devices: values by argument name; all must be empty.
    """
    for name, value in devices.items():
        if value:
            msg = f"{caller}: {name} is not supported; gradients are reduced where they are"
            raise failure(SMDDPArgumentError, msg)
    if op is not None and op is not ReduceOp.AVERAGE:
        msg = f"{caller}: op {op} is not supported; gradients are averaged (ReduceOp.AVERAGE)"
        raise failure(SMDDPArgumentError, msg)


def reduce_gradients(gradients: Sequence[Any], sources: Sequence[Any], how: Reduction) -> list[Any]:
    """The averages over all ranks, in the same order; a None stays None.

    Args:
        gradients: tensors, tf.IndexedSlices or None; None for the same sources on all ranks.
        sources: what the gradients are of; shapes and dtypes of the buckets come from them, so that they do not
            depend on what this rank has.
        how: see there.
    """
    require_world("gradients")
    step = _Step(list(gradients), list(sources), how, make_key("gradients"))
    step.gather_sparse()
    step.reduce_dense()
    return step.results


class _Step:
    """One reduction of all gradients."""

    def __init__(self, gradients: list[Any], sources: list[Any], how: Reduction, key: str) -> None:
        self.results = gradients
        self._sources = sources
        self._how = how
        self._key = key
        self._names = [name_variable(source, position) for position, source in enumerate(sources)]
        kept = () if how.sparse_as_dense else (tf.IndexedSlices,)
        self._sparse = [position for position, one in enumerate(gradients) if isinstance(one, kept)]

    def gather_sparse(self) -> None:
        """Gather the rows that stay sparse."""
        for position in self._sparse:
            key = f"{self._key}/rows of {position}"
            name = self._names[position]
            self.results[position] = _average_rows(self.results[position], self._how.compression, key, name)

    def reduce_dense(self) -> None:
        """Reduce all others, bucket by bucket, the last layers first: backward computes theirs first."""
        by_dtype: dict[Any, list[int]] = {}
        for position in reversed(range(len(self._sources))):
            if position not in self._sparse:
                by_dtype.setdefault(tf.as_dtype(self._sources[position].dtype), []).append(position)
        for dtype, positions in by_dtype.items():
            sizes = [_elements(self._sources[position]) * int(dtype.size) for position in positions]
            for number, bucket in enumerate(plan_buckets(sizes, self._how.bucket_bytes)):
                self._reduce_bucket([positions[i] for i in bucket], dtype, f"{self._key}/{dtype.name}/{number}")

    def _reduce_bucket(self, positions: list[int], dtype: Any, key: str) -> None:
        present = [position for position in positions if self.results[position] is not None]
        dense = [self._dense(position) for position in present]
        # Ranks with gradients of other variables differ in the number of elements; then the error shows these names.
        absent = [f"no gradient for {self._names[position]}" for position in positions if position not in present]
        names = [*(self._names[position] for position in present), *absent]
        # With none at all still an op, so that this shows at once and not at the deadline.
        dense = dense or [tf.zeros([0], dtype)]
        sent, contexts = zip(*[self._how.compression.compress(one) for one in dense], strict=True)
        averages = call(OPS.smddp_all_reduce, list(sent), reduce_op="average", key=key, names=names)
        for position, average, context in zip(present, averages, contexts, strict=False):
            self.results[position] = self._how.compression.decompress(average, context)

    def _dense(self, position: int) -> Any:
        gradient, source = self.results[position], self._sources[position]
        if isinstance(gradient, tf.IndexedSlices) and gradient.dense_shape is None:
            gradient = tf.IndexedSlices(gradient.values, gradient.indices, tf.shape(source))
        # A bucket has the dtype of its variables; a gradient of another one is converted, as optimizers do.
        return tf.cast(to_tensor(f"gradient of {self._names[position]}", gradient), source.dtype)


def _average_rows(gradient: Any, compression: Compressor, key: str, name: str) -> Any:
    sent, context = compression.compress(gradient.values)
    values = call(OPS.smddp_all_gather, sent, key=f"{key}/values", names=[f"rows of {name}"])
    rows = compression.decompress(values, context)
    indices = call(OPS.smddp_all_gather, gradient.indices, key=f"{key}/indices", names=[f"indices of {name}"])
    share = tf.cast(require_world("gradients").size, rows.dtype)
    return tf.IndexedSlices(rows / share, indices, gradient.dense_shape)


def _elements(source: Any) -> int:
    return tf.TensorShape(source.shape).num_elements() or 0

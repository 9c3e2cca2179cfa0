"""A gradient tape whose gradients are averages over all ranks."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import tensorflow as tf

from smddp.tensorflow.collectives import ReduceOp
from smddp.tensorflow.compression import Compression, Compressor
from smddp.tensorflow.reduction import Reduction, check_options, reduce_gradients
from smddp.tensorflow.untraced import as_written
from smddp.tensorflow.world import require_world

__all__ = ["DistributedGradientTape"]


class DistributedGradientTape:
    """Wraps a `tf.GradientTape` so that `gradient` returns the averages over all ranks.

    All else is the wrapped tape's: it may be made before or after recording, around a persistent tape, in a
    tf.function or not, and passed where a tape is expected. Jacobians are not averaged.

    Args:
        gradtape: the tape.
        device_dense: not supported, must be empty.
        device_sparse: not supported, must be empty.
        compression: what gradients are sent as.
        sparse_as_dense: make tf.IndexedSlices dense; otherwise their rows are gathered from all ranks.
        op: AVERAGE, or None for it.

    Raises:
        SMDDPStateError: before `init`.
        SMDDPArgumentError: an argument is not supported.
    """

    def __init__(
        self,
        gradtape: Any,
        device_dense: str = "",
        device_sparse: str = "",
        compression: Compressor = Compression.none,
        sparse_as_dense: bool = True,
        op: ReduceOp | None = ReduceOp.AVERAGE,
    ) -> None:
        caller = "DistributedGradientTape"
        world = require_world(caller)
        check_options(caller, op, {"device_dense": device_dense, "device_sparse": device_sparse})
        self._tape = gradtape
        self._how = Reduction(compression=compression, sparse_as_dense=sparse_as_dense, bucket_bytes=world.bucket_bytes)

    def __enter__(self) -> DistributedGradientTape:
        self._tape.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tape.__exit__(kind, problem, trace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tape, name)

    @as_written
    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = tf.UnconnectedGradients.NONE,
    ) -> Any:
        """As `tf.GradientTape.gradient`, averaged over all ranks.

        Returns:
            Gradients in the structure of `sources`; None where no rank has one.

        Raises:
            SMDDPMismatchError: ranks have gradients of different sources; the message names them.
        """
        gradients = self._tape.gradient(target, sources, output_gradients, unconnected_gradients)
        flat_sources = tf.nest.flatten(sources)
        averages = reduce_gradients(tf.nest.flatten(gradients), flat_sources, self._how)
        return tf.nest.pack_sequence_as(gradients, averages)

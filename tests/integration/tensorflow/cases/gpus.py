"""A TensorFlow that serves GPUs, as far as one that does not can be taken for it."""

from __future__ import annotations

import tensorflow as tf

import smddp.tensorflow as sdp


def joins() -> None:
    tf.test.is_built_with_cuda = lambda: True
    sdp.init()
    assert sdp.allreduce(tf.ones(3), op=sdp.ReduceOp.SUM).numpy().tolist() == [float(sdp.size())] * 3
    sdp.shutdown()

"""Gradients of the ops against formulas: the job's loss is the sum of the ranks' losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from integration.tensorflow.cases.common import Peers, both_ways

import smddp.tensorflow as sdp

Array = np.ndarray[Any, Any]


def gradient_of(op: Callable[[tf.Tensor], tf.Tensor], tensor: tf.Tensor, weights: Array, way: int) -> Array:
    """Of sum(op(tensor) * weights), eagerly (0) or in a graph (1)."""

    def compute(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(op(x) * weights)
        return tf.convert_to_tensor(tape.gradient(loss, x))

    result: Array = both_ways(compute)[way](tensor).numpy()
    return result


def weights_of(rank: int, *shape: int) -> Array:
    count = int(np.prod(shape))
    return (np.arange(count, dtype=np.float64) + 100 * (rank + 1)).reshape(shape)


def reductions(peers: Peers) -> None:
    total = sum(weights_of(rank, 2, 3) for rank in range(peers.size))
    x = tf.constant(weights_of(7, 2, 3))
    for op, expected in ((sdp.ReduceOp.SUM, total), (sdp.ReduceOp.AVERAGE, total / peers.size)):
        for way in (0, 1):
            got = gradient_of(lambda x, op=op: sdp.allreduce(x, op=op), x, weights_of(peers.rank, 2, 3), way)
            np.testing.assert_allclose(got, expected, rtol=1e-12)


def broadcasts(peers: Peers) -> None:
    total = sum(weights_of(rank, 4) for rank in range(peers.size))
    root = peers.size - 1
    for way in (0, 1):
        got = gradient_of(lambda x: sdp.broadcast(x, root), tf.zeros(4, tf.float64), weights_of(peers.rank, 4), way)
        np.testing.assert_allclose(got, total if peers.rank == root else np.zeros(4))


def gathers(peers: Peers) -> None:
    rows = [rank + 1 for rank in range(peers.size)]
    total = sum(weights_of(rank, sum(rows), 2) for rank in range(peers.size))
    start = sum(rows[: peers.rank])
    for way in (0, 1):
        x = tf.zeros([rows[peers.rank], 2], tf.float64)
        got = gradient_of(sdp.allgather, x, weights_of(peers.rank, sum(rows), 2), way)
        np.testing.assert_allclose(got, total[start : start + rows[peers.rank]])


def scatters(peers: Peers) -> None:
    rows = 2 * peers.size + 1
    shares = [len(part) for part in np.array_split(np.arange(rows), peers.size)]
    expected = np.concatenate([weights_of(rank, share, 2) for rank, share in enumerate(shares)])
    for op, divisor in ((sdp.ReduceOp.SUM, 1), (sdp.ReduceOp.AVERAGE, peers.size)):
        for way in (0, 1):
            weights = weights_of(peers.rank, shares[peers.rank], 2)
            got = gradient_of(lambda x, op=op: sdp.reducescatter(x, op), tf.zeros([rows, 2], tf.float64), weights, way)
            np.testing.assert_allclose(got, expected / divisor)


def exchanges(peers: Peers) -> None:
    """Rank s sends r + 1 rows to rank r."""
    splits = [rank + 1 for rank in range(peers.size)]
    weights = [weights_of(rank, peers.size * (rank + 1)) for rank in range(peers.size)]
    parts = [weights[r][peers.rank * (r + 1) : (peers.rank + 1) * (r + 1)] for r in range(peers.size)]
    for way in (0, 1):
        x = tf.zeros([sum(splits)], tf.float64)
        got = gradient_of(lambda x: sdp.alltoall(x, splits)[0], x, weights[peers.rank], way)
        np.testing.assert_allclose(got, np.concatenate(parts))


def compressed(peers: Peers) -> None:
    def op(x: tf.Tensor) -> tf.Tensor:
        return sdp.allreduce(x, compression=sdp.Compression.fp16)

    for way in (0, 1):
        got = gradient_of(op, tf.ones(3, tf.float64), np.full(3, peers.rank + 1.0), way)
        np.testing.assert_allclose(got, np.full(3, (peers.size + 1) / 2))


def minimum_has_none(peers: Peers) -> None:
    try:
        gradient_of(lambda x: sdp.allreduce(x, op=sdp.ReduceOp.MIN), tf.ones(3, tf.float64), np.ones(3), 0)
    except ValueError as error:
        assert "a reduction by min has no gradient" in str(error)
    else:
        raise AssertionError


def structures(peers: Peers) -> None:
    """The distributed tape keeps the structure of its sources, and None where no rank has a gradient."""
    used, unused = tf.Variable([1.0, 2.0], name="used"), tf.Variable(3.0, name="unused")

    def compute() -> Any:
        with sdp.DistributedGradientTape(tf.GradientTape(persistent=True)) as tape:
            loss = tf.reduce_sum(used * used) * float(peers.rank)
        first = tape.gradient(loss, {"used": used, "rest": [unused, (used,)]})
        second = tape.gradient(loss, used, unconnected_gradients="zero")
        zero = tape.gradient(loss, unused, unconnected_gradients="zero")
        assert tape.watched_variables()
        return first["used"], first["rest"][1][0], second, zero, first["rest"][0] is None

    mean = (peers.size - 1) / 2
    for way in both_ways(compute):
        one, same, second, zero, is_none = way()
        assert is_none
        for gradient in (one, same, second):
            np.testing.assert_allclose(gradient.numpy(), [2 * mean, 4 * mean])
        assert float(zero) == 0


def mixed_dtypes(peers: Peers) -> None:
    variables = [tf.Variable(tf.ones(3, dtype), name=dtype) for dtype in ("float32", "float16", "float64", "bfloat16")]

    @tf.function
    def compute() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.cast(tf.reduce_sum(one), tf.float64) for one in variables]) * float(peers.rank)
        gradients: list[tf.Tensor] = sdp.DistributedGradientTape(tape).gradient(loss, variables)
        return gradients

    for variable, gradient in zip(variables, compute(), strict=True):
        assert gradient.dtype == variable.dtype
        assert gradient.numpy().astype(float).tolist() == [(peers.size - 1) / 2] * 3


def sparse_rows(peers: Peers) -> None:
    table = tf.Variable(tf.ones([5, 2]), name="table")
    for sparse_as_dense in (True, False):
        for compression in (sdp.Compression.none, sdp.Compression.fp16):

            def compute(sparse_as_dense: bool = sparse_as_dense, compression: Any = compression) -> tf.Tensor:
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.gather(table, [0, peers.rank % 5, 4]))
                tape = sdp.DistributedGradientTape(tape, compression=compression, sparse_as_dense=sparse_as_dense)
                gradient = tape.gradient(loss, [table])[0]
                assert isinstance(gradient, tf.Tensor if sparse_as_dense else tf.IndexedSlices)
                return tf.convert_to_tensor(gradient)

            expected = np.zeros((5, 2))
            for rank in range(peers.size):
                for row in (0, rank % 5, 4):
                    expected[row] += 1 / peers.size
            for way in both_ways(compute):
                np.testing.assert_allclose(way().numpy(), expected, rtol=1e-3)


def many_buckets(peers: Peers) -> None:
    """Gradients of very different sizes, larger than a bucket together."""
    sizes = [1, 3_000_000, 7, 2_000_000, 4_000_000, 11]
    variables = [tf.Variable(tf.zeros(size), name=f"of {size}") for size in sizes]

    @tf.function
    def compute(factor: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(one) * factor * float(one.shape[0]) for one in variables])
        gradients: list[tf.Tensor] = sdp.DistributedGradientTape(tape).gradient(loss, variables)
        return gradients

    gradients = compute(tf.constant(float(peers.rank + 1)))
    nodes = compute.get_concrete_function(tf.constant(1.0)).graph.as_graph_def().node
    assert sum(node.op == "SmddpAllReduce" for node in nodes) == 2
    for size, gradient in zip(sizes, gradients, strict=True):
        np.testing.assert_allclose(gradient.numpy(), size * (peers.size + 1) / 2)

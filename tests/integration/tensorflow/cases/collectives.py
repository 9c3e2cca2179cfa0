"""Every op against the oracle, bit for bit, eagerly and in graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from integration.tensorflow.cases.common import MOVED, REDUCED, Peers, assert_bits, both_ways, to_array, to_tensor

import smddp.tensorflow as sdp

#: The last one takes many chunks (see conftest.py).
COUNTS = (0, 1, 37, 10_007)
FLOATS = ("float64", "float32", "float16", "bfloat16")


def reductions(peers: Peers) -> None:
    kinds = [(dtype, op) for dtype in REDUCED for op in sdp.ReduceOp if op.value != "average" or dtype in FLOATS]
    for dtype, op in kinds:
        for reduce in (sdp.allreduce, sdp.oob_allreduce):
            for run in both_ways(lambda x, reduce=reduce, op=op: reduce(x, op=op)):
                assert_bits(run(peers.own(dtype, 37)), peers.reduced(dtype, op.value, 37), f"{dtype} {op}")
    for dtype in ("float32", "bfloat16"):
        for count in COUNTS:
            result = sdp.allreduce(peers.own(dtype, count), 0, 1, op=None)
            assert_bits(result, peers.reduced(dtype, "average", count), f"{dtype} {count}")


def shapes_and_forms(peers: Peers) -> None:
    mean = (peers.size - 1) / 2
    assert sdp.allreduce(tf.fill([2, 3, 4], float(peers.rank))).shape == [2, 3, 4]
    assert float(sdp.oob_allreduce(float(peers.rank))) == mean
    assert sdp.allreduce([1.0, float(peers.rank)], 0, 1).numpy().tolist() == [1.0, mean]
    assert sdp.allreduce(grad=tf.Variable([float(peers.rank)]), param_index=3, num_params=9).numpy() == [mean]
    assert sdp.allreduce(np.full(2, peers.rank), op=sdp.ReduceOp.SUM).dtype == tf.int64
    assert sdp.allreduce(tf.constant(1.0), name="loss").numpy() == 1.0
    rows = tf.IndexedSlices(tf.ones([2, 3]), tf.constant([0, peers.rank % 3]), tf.constant([3, 3]))
    assert float(tf.reduce_sum(sdp.allreduce(rows))) == 6.0
    x = tf.constant([1.0, 2.0])
    assert sdp.overlap(x).numpy().tolist() == [1.0, 2.0]


def compressed(peers: Peers) -> None:
    for dtype in ("float32", "float64", "float16", "int32"):
        own = tf.cast(peers.own("float32", 37) if dtype != "int32" else tf.range(37), dtype)
        op = sdp.ReduceOp.MAX if dtype == "int32" else sdp.ReduceOp.AVERAGE
        plain = sdp.allreduce(own, op=op)
        for compression in (sdp.Compression.fp16, sdp.Compression.bf16, sdp.Compression.none):
            got = sdp.allreduce(own, compression=compression, op=op)
            assert got.dtype == own.dtype
            np.testing.assert_allclose(got.numpy().astype(float), plain.numpy().astype(float), rtol=2e-2, atol=2e-2)


def broadcasts(peers: Peers) -> None:
    for number, dtype in enumerate(MOVED):
        root = number % peers.size
        for run in both_ways(lambda x, root=root: sdp.broadcast(x, root)):
            for count in COUNTS:
                assert_bits(run(peers.own(dtype, count)), peers.brought(dtype, count, root), f"{dtype} {count}")


def gathers(peers: Peers) -> None:
    for dtype in MOVED:
        for run in both_ways(sdp.allgather):
            # Rank 0 has no rows.
            got = run(tf.reshape(peers.own(dtype, 6 * peers.rank), [-1, 2, 3]))
            assert got.shape == [sum(range(peers.size)), 2, 3]
            everything = [peers.brought(dtype, 6 * rank, rank) for rank in range(peers.size)]
            assert_bits(got, np.concatenate(everything), dtype)


def scatters(peers: Peers) -> None:
    rows = 2 * peers.size + 1
    for dtype in REDUCED:
        for op in (sdp.ReduceOp.SUM, sdp.ReduceOp.MIN):
            for run in both_ways(lambda x, op=op: sdp.reducescatter(x, op)):
                whole = peers.reduced(dtype, op.value, 3 * rows).reshape(rows, 3)
                expected = np.array_split(whole, peers.size)[peers.rank]
                assert_bits(run(tf.reshape(peers.own(dtype, 3 * rows), [rows, 3])), expected, f"{dtype} {op}")
    average = sdp.reducescatter(tf.fill([peers.size], float(peers.rank)))
    assert average.numpy().tolist() == [(peers.size - 1) / 2]


def exchanges(peers: Peers) -> None:
    for dtype in MOVED:
        for run in both_ways(sdp.alltoall):
            exchange_unevenly(peers, dtype, run)
            got = run(tf.reshape(peers.own(dtype, 2 * peers.size), [peers.size, 2]))
            parts = [
                peers.brought(dtype, 2 * peers.size, rank).reshape(-1, 2)[peers.rank] for rank in range(peers.size)
            ]
            assert_bits(got, np.concatenate(parts), dtype)


def exchange_unevenly(peers: Peers, dtype: str, run: Callable[..., Any]) -> None:
    """Rank s sends (s + r) % size rows to rank r."""
    splits = [[(s + r) % peers.size for r in range(peers.size)] for s in range(peers.size)]
    total = sum(range(peers.size))
    rows, received = run(tf.reshape(peers.own(dtype, 2 * total), [-1, 2]), splits[peers.rank])
    assert received.numpy().tolist() == [splits[s][peers.rank] for s in range(peers.size)]
    sent = [peers.brought(dtype, 2 * total, s).reshape(-1, 2) for s in range(peers.size)]
    starts = [sum(splits[s][: peers.rank]) for s in range(peers.size)]
    parts = [sent[s][starts[s] : starts[s] + splits[s][peers.rank]] for s in range(peers.size)]
    assert_bits(rows, np.concatenate(parts), dtype)


def variables(peers: Peers) -> None:
    dtypes = (*MOVED, "uint32", "uint64", "int16", "uint16")
    for root in (0, peers.size - 1):
        for run in both_ways(sdp.broadcast_variables):
            own = [tf.Variable(to_tensor(dtype, peers.brought(dtype, 5, peers.rank)), name=dtype) for dtype in dtypes]
            assert run(own, root) is None
            for dtype, variable in zip(dtypes, own, strict=True):
                assert_bits(variable, peers.brought(dtype, 5, root), dtype)


def keras_models(peers: Peers) -> None:
    import keras

    keras.utils.set_random_seed(peers.rank)
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)])
    model.build((None, 4))
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    sdp.broadcast_variables(model.variables, root_rank=0)
    sdp.broadcast_variables(optimizer.variables, root_rank=0)
    own = to_array(tf.reshape(model.layers[0].kernel, [1, -1]))
    everybody = sdp.allgather(tf.reshape(model.layers[0].kernel, [1, -1])).numpy()
    assert own.any()
    assert (everybody == own).all()


def different_orders(peers: Peers) -> None:
    """Each rank's graph starts the ops in an order of its own, none waiting for another's end."""
    names = [f"part {number}" for number in range(8)]
    own_order = np.random.default_rng((peers.seed, peers.rank)).permutation(len(names))

    @tf.function
    def step(x: tf.Tensor) -> list[tf.Tensor]:
        results: dict[int, tf.Tensor] = {}
        work = tf.eye(100)
        for number in own_order.tolist():
            work = tf.matmul(work, work)  # the next op's tensor is there later
            tensor = work[0] * (x + float(number))
            results[number] = sdp.allreduce(tensor, op=sdp.ReduceOp.SUM, name=names[number])
        return [results[number] for number in range(len(names))]

    for repetition in range(20):
        for number, result in enumerate(step(tf.constant(float(peers.rank + repetition)))):
            expected = sum(rank + repetition + number for rank in range(peers.size))
            assert float(result[0]) == expected, f"{number}: {result} is not {expected}"

"""Ranks that have different numbers of batches."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from integration.tensorflow.cases.common import Peers, both_ways

import smddp.tensorflow as sdp


def gradient(rank: int, batch: int) -> float:
    return 100.0 * rank + batch + 1


def average(counts: list[int], batch: int) -> float:
    """Of the gradients of all ranks; who has joined brings zero."""
    return sum(gradient(rank, batch) for rank, count in enumerate(counts) if batch < count) / len(counts)


def train(peers: Peers, counts: list[int], step: Callable[[tf.Tensor], list[tf.Tensor]]) -> int:
    """As many batches as this rank has, and the others' number at the end."""
    for batch in range(counts[peers.rank]):
        expected = average(counts, batch)
        for position, got in enumerate(step(tf.constant(gradient(peers.rank, batch)))):
            assert abs(float(got[0]) - expected * (position + 1)) < 1e-3, f"{counts}, batch {batch}, {position}"
    return sdp.join()


def uneven_counts(peers: Peers) -> None:
    """Longer lists on higher ranks, on lower ones, none at all on one, and equal ones."""
    variables = [tf.Variable(tf.zeros(300), name=f"layer {number}") for number in range(3)]

    def step(factor: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.add_n(
                [tf.reduce_sum(variable) * factor * (number + 1.0) for number, variable in enumerate(variables)]
            )
        return sdp.DistributedGradientTape(tape).gradient(loss, variables)

    ranks = range(peers.size)
    for way in both_ways(step):
        assert train(peers, [rank + 1 for rank in ranks], way) == peers.size - 1
        assert train(peers, [peers.size - rank for rank in ranks], way) == 0
        assert train(peers, [0 if rank == 0 else 3 for rank in ranks], way) == min(1, peers.size - 1)
        assert train(peers, [2] * peers.size, way) == 0


def metrics_and_variables_of_the_last(peers: Peers) -> None:
    """Minimum and maximum of those still at it; then its variables for all."""
    weight = tf.Variable([0.0])
    for batch in range(peers.rank + 1):
        expected = list(range(batch, peers.size))
        mine = tf.constant(float(peers.rank))
        assert float(sdp.allreduce(mine, op=sdp.ReduceOp.MIN)) == min(expected)
        assert float(sdp.allreduce(mine, op=sdp.ReduceOp.MAX)) == max(expected)
        assert int(sdp.allreduce(tf.constant(1), op=sdp.ReduceOp.SUM)) == len(expected)
        sdp.barrier()
        weight.assign_add([1.0])
    last = sdp.join()
    sdp.broadcast_variables([weight], root_rank=last)
    assert float(weight[0]) == peers.size

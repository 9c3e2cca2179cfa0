"""A short training in a world that has just come together, with values that are exact in all dtypes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

import smddp.tensorflow as sdp

__all__ = ["train"]

STEPS = 5
RATE = 0.5
#: Each dtype travels in a bucket of its own; the last is small, so that buckets are complete at different times.
ELEMENTS = {"float32": (3000, 7), "float64": (1500, 5), "float16": (2000, 3), "bfloat16": (1000, 1)}
#: Of each rank's function: for two parts of the model a bucket of each dtype, and two metrics.
REDUCTIONS = 2 * len(ELEMENTS) + 2

Arrays = list[np.ndarray]


class Problem:
    """The same numbers on all ranks: small integers, whose sums and averages are exact.

    Args:
        number: other numbers, other problem.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.shapes = [(dtype, count) for dtype, counts in ELEMENTS.items() for count in counts]

    def start(self, rank: int) -> Arrays:
        """What a rank's variables hold before rank 0's are sent."""
        return self._integers(rank, STEPS)

    def gradients(self, rank: int, step: int) -> Arrays:
        """A rank's gradients of one step."""
        return self._integers(rank, step)

    def end(self, size: int) -> Arrays:
        """What the variables of all ranks hold at the end."""
        values = self.start(0)
        for step in range(STEPS):
            of_ranks = [self.gradients(rank, step) for rank in range(size)]
            averages = [np.mean(of_all, axis=0) for of_all in zip(*of_ranks, strict=True)]
            values = [value - RATE * average for value, average in zip(values, averages, strict=True)]
        return values

    def _integers(self, rank: int, step: int) -> Arrays:
        generator = np.random.default_rng((self._number, rank, step))
        return [generator.integers(-4, 5, count).astype(np.float64) for _, count in self.shapes]


def train(number: str) -> None:
    """Join, trace and run a step that communicates in many ways at once, check all results, leave."""
    sdp.init()
    problem = Problem(int(number))
    variables = [tf.Variable(value) for value in as_tensors(problem, problem.start(sdp.rank()))]
    encoder, head = variables[::2], variables[1::2]

    @tf.function
    def step(slopes: list[tf.Tensor], metrics: tf.Tensor, first_batch: bool) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            products = [tf.reduce_sum(one * slope) for one, slope in zip(variables, slopes, strict=True)]
            loss = tf.add_n([tf.cast(product, tf.float64) for product in products])
        tape = sdp.DistributedGradientTape(tape)
        for part in (encoder, head):
            for variable, average in zip(part, tape.gradient(loss, part), strict=True):
                variable.assign_sub(tf.cast(RATE, variable.dtype) * average)
        if first_batch:
            sdp.broadcast_variables(variables, root_rank=0)
        return sdp.oob_allreduce(metrics), sdp.oob_allreduce(metrics, op=sdp.ReduceOp.MAX)

    for batch in range(STEPS):
        slopes = as_tensors(problem, problem.gradients(sdp.rank(), batch))
        average, largest = step(slopes, tf.constant(float(batch + 8 * sdp.rank())), batch == 0)
        assert float(average) == batch + 8 * (sdp.size() - 1) / 2
        assert float(largest) == batch + 8 * (sdp.size() - 1)
    check(step, problem, variables)
    sdp.shutdown()


def check(step: tf.types.experimental.PolymorphicFunction, problem: Problem, variables: list[tf.Variable]) -> None:
    for function in step._list_all_concrete_functions():
        ops = [op.type for op in function.graph.get_operations()]
        assert ops.count("SmddpAllReduce") == REDUCTIONS, ops
    for variable, expected in zip(variables, as_tensors(problem, problem.end(sdp.size())), strict=True):
        assert variable.numpy().tobytes() == expected.numpy().tobytes(), variable.dtype


def as_tensors(problem: Problem, arrays: Arrays) -> list[tf.Tensor]:
    """Each array in the dtype of its variable."""
    return [tf.constant(array, dtype) for array, (dtype, _) in zip(arrays, problem.shapes, strict=True)]

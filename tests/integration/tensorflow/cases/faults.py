"""What each rank is told when the ranks do not do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

import smddp.tensorflow as sdp
from smddp.errors import SMDDPError

__all__ = [
    "gathering_after_a_join",
    "rank_stays_away",
    "rows_of_one_rank_are_missing",
    "variable_is_left_out",
    "variable_without_gradient",
]


def tell(function: Callable[[], Any]) -> None:
    """Print the error with which the function ends, in one line."""
    try:
        function()
    except (SMDDPError, tf.errors.OpError) as error:
        print(type(error).__name__, " ".join(str(error).split()), flush=True)


def make_variables() -> list[tf.Variable]:
    names = ("encoder/kernel", "encoder/bias", "head/kernel")
    return [tf.Variable(tf.ones(100), name=name) for name in names]


def variable_without_gradient(way: str) -> None:
    """On the last rank the loss does not depend on head/kernel."""
    sdp.init()
    variables = make_variables()

    def step() -> list[tf.Tensor]:
        used = variables[:-1] if sdp.rank() == sdp.size() - 1 else variables
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(variable) for variable in used])
        gradients: list[tf.Tensor] = sdp.DistributedGradientTape(tape).gradient(loss, variables)
        return [gradient for gradient in gradients if gradient is not None]

    tell(tf.function(step) if way == "graph" else step)


def variable_is_left_out(way: str) -> None:
    """The last rank does not ask for the gradient of head/kernel, its only one."""
    sdp.init()
    variables = make_variables()

    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(variable) for variable in variables])
        wanted = variables[:2] if sdp.rank() == sdp.size() - 1 else variables
        gradients: list[tf.Tensor] = sdp.DistributedGradientTape(tape).gradient(loss, wanted)
        return gradients

    tell(tf.function(step) if way == "graph" else step)


def rank_stays_away(way: str) -> None:
    """The last rank does not take part."""
    sdp.init()
    step = (
        (lambda: sdp.allreduce(tf.ones(3), name="loss"))
        if way == "eager"
        else tf.function(lambda: sdp.allreduce(tf.ones(3), name="loss"))
    )
    if sdp.rank() != sdp.size() - 1:
        tell(step)
    else:
        tell(lambda: sdp.allreduce(tf.ones(3), name="accuracy"))


def rows_of_one_rank_are_missing(way: str) -> None:
    """The last rank does not use the table, whose gradient stays sparse."""
    sdp.init()
    table = tf.Variable(tf.ones((10, 4)), name="words/table")

    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            used = sdp.rank() != sdp.size() - 1
            loss = tf.reduce_sum(tf.gather(table, [1, 2])) if used else tf.constant(1.0)
        tape = sdp.DistributedGradientTape(tape, sparse_as_dense=False)
        gradients: list[tf.Tensor] = [one for one in tape.gradient(loss, [table]) if one is not None]
        return gradients

    tell(tf.function(step) if way == "graph" else step)


def gathering_after_a_join(way: str) -> None:
    """The last rank has joined; it has no rows for the others."""
    sdp.init()

    def gather() -> tf.Tensor:
        return sdp.allgather(tf.ones((2, 3)))

    if sdp.rank() == sdp.size() - 1:
        tell(sdp.join)
    else:
        tell(tf.function(gather) if way == "graph" else gather)

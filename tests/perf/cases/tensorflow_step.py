"""Time a training step of 10 million parameters with gradients averaged by smddp and by TensorFlow's own strategy.

    smddprun -np 2 python tests/perf/cases/tensorflow_step.py PORT

PORT and the following ones must be free: TensorFlow's workers listen there. The last line that rank 0 prints is JSON:
of each way the median time of a step in milliseconds, on the slowest rank, and how far its weights are from ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import smddp.tensorflow as sdp

WIDTH, DEPTH = 1000, 10
#: Samples of each rank: so few that there is more to exchange than to compute.
BATCH = 8
#: The steps take turns in blocks; the first rounds only warm up.
ROUNDS, WARM_UP, BLOCK = 10, 2, 4
RATE = 1.0
PACK_BYTES = 4 * 1024 * 1024

#: Gradients of the tape's loss by the variables.
Gradients = Callable[[tf.GradientTape, tf.Tensor, list[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class Way:
    """A model of its own, and one training step of it that reduces gradients in a certain way."""

    model: keras.Model
    step: Callable[[], Any]
    seconds: list[float] = field(default_factory=list)

    def weights(self) -> tf.Tensor:
        return tf.concat([tf.reshape(weight, [-1]) for weight in self.model.get_weights()], 0)


def make_model() -> keras.Model:
    """With the same weights on all ranks."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(WIDTH, "relu", kernel_initializer="he_normal") for _ in range(DEPTH)]
    return keras.Sequential([keras.Input((WIDTH,)), *layers])


def make_way(gradients: Gradients, strategy: Any = None) -> Way:
    """The step is the same for all, but for the gradients; a strategy runs it as its replica."""
    model = make_model()
    generator = np.random.default_rng(sdp.rank())
    samples, targets = (tf.constant(generator.standard_normal((BATCH, WIDTH)), tf.float32) for _ in range(2))

    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(samples, training=True) - targets))
        variables = [variable.value for variable in model.trainable_variables]
        for variable, gradient in zip(variables, gradients(tape, loss, variables), strict=True):
            variable.assign_sub(RATE * gradient)

    return Way(model, tf.function(step if strategy is None else lambda: strategy.run(step)))


def by_smddp(tape: tf.GradientTape, loss: tf.Tensor, variables: list[Any]) -> list[Any]:
    averages: list[Any] = sdp.DistributedGradientTape(tape).gradient(loss, variables)
    return averages


def by_strategy(implementation: str, bytes_per_pack: int = 0) -> Gradients:
    """As Keras does it in a strategy: all at once, after the backward pass."""
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        bytes_per_pack=bytes_per_pack, implementation=kinds[implementation]
    )

    def reduce(tape: tf.GradientTape, loss: tf.Tensor, variables: list[Any]) -> list[Any]:
        replica = tf.distribute.get_replica_context()
        averages: list[Any] = replica.all_reduce(
            tf.distribute.ReduceOp.MEAN, tape.gradient(loss, variables), options=options
        )
        return averages

    return reduce


def make_strategy(first_port: int) -> tf.distribute.Strategy:
    """Of one worker for each rank; has to come before TensorFlow runs anything."""
    workers = [f"127.0.0.1:{first_port + rank}" for rank in range(sdp.size())]
    task = {"type": "worker", "index": sdp.rank()}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
    return tf.distribute.MultiWorkerMirroredStrategy()


def run_block(way: Way, keep: bool) -> None:
    sdp.barrier()
    for _ in range(BLOCK):
        begin = time.perf_counter()
        way.step()
        if keep:
            way.seconds.append(time.perf_counter() - begin)


def report(ways: dict[str, Way]) -> None:
    measured = {}
    ours = sdp.allreduce(ways["smddp"].weights())  # the average: if ranks differ, each is away from it
    for name, way in ways.items():
        slowest = sdp.allreduce(tf.constant(way.seconds, tf.float64), op=sdp.ReduceOp.MAX)
        away = sdp.allreduce(tf.reduce_max(tf.abs(way.weights() - ours)), op=sdp.ReduceOp.MAX)
        measured[name] = {"ms": 1e3 * float(np.median(slowest)), "away": float(away)}
    if sdp.rank() == 0:
        print(json.dumps(measured), flush=True)


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the ranks share the cores
    sdp.init()
    strategy = make_strategy(int(sys.argv[1]))
    ways = {
        "alone": make_way(lambda tape, loss, variables: tape.gradient(loss, variables)),
        "smddp": make_way(by_smddp),
        "AUTO": make_way(by_strategy("AUTO"), strategy),
        "RING": make_way(by_strategy("RING"), strategy),
        "RING, 4 MiB packs": make_way(by_strategy("RING", PACK_BYTES), strategy),
    }
    for number in range(ROUNDS):
        for way in list(ways.values())[:: 1 if number % 2 == 0 else -1]:
            run_block(way, keep=number >= WARM_UP)
    report(ways)
    sdp.shutdown()


if __name__ == "__main__":
    main()

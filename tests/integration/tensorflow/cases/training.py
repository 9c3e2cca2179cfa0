"""A small classifier with an embedding, trained on one process or on many with the same global batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import smddp.tensorflow as sdp

__all__ = ["alone", "fitted", "optimized", "taped"]

#: Of all ranks together; as many rows per rank for worlds of 1, 2 and 4.
GLOBAL_BATCH = 64
STEPS = 50
ROWS = 1024
WORDS, CLASSES, LENGTH = 40, 5, 6

Reduce = Callable[[tf.GradientTape], Any]


def alone() -> None:
    """One process, nothing distributed."""
    report(train(lambda tape: tape, 0, 1))


def taped(form: str) -> None:
    """With the distributed tape: "dense", "sparse" or "eager"."""
    sdp.init()
    keep_sparse = form == "sparse"
    tf.config.run_functions_eagerly(form == "eager")
    report(
        train(lambda tape: sdp.DistributedGradientTape(tape, sparse_as_dense=not keep_sparse), sdp.rank(), sdp.size())
    )
    sdp.shutdown()


def optimized(form: str) -> None:
    """With the distributed optimizer: "dense" or "sparse"."""
    sdp.init()

    def distributed(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        return sdp.DistributedOptimizer(optimizer, sparse_as_dense=form == "dense", bucket_cap_mb=0.0009765625)

    report(train(lambda tape: tape, sdp.rank(), sdp.size(), distributed))
    sdp.shutdown()


def fitted(_: str) -> None:
    """With the distributed optimizer in `model.fit`; its losses are not compared."""
    sdp.init()
    model = make_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(sdp.DistributedOptimizer(keras.optimizers.SGD(0.5)), loss, jit_compile=False)
    words, labels = sentences()
    order = [start + row for start in starts() for row in range(sdp.rank(), GLOBAL_BATCH, sdp.size())]
    model.fit(words[order], labels[order], batch_size=GLOBAL_BATCH // sdp.size(), shuffle=False, verbose=0)
    report((model, []))
    sdp.shutdown()


def make_model() -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Embedding(WORDS, 8),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="tanh"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.build((None, LENGTH))
    return model


def train(
    reduce: Reduce, rank: int, size: int, wrap: Callable[[Any], Any] = lambda optimizer: optimizer
) -> tuple[keras.Model, list[float]]:
    model, optimizer = make_model(), wrap(keras.optimizers.SGD(0.5))
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(words: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(words, training=True))
        gradients = reduce(tape).gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss if size == 1 else sdp.oob_allreduce(loss)

    words, labels = sentences()
    losses = []
    for start in starts():
        batch = slice(start + rank, start + GLOBAL_BATCH, size)
        losses.append(float(step(tf.constant(words[batch]), tf.constant(labels[batch]))))
    return model, losses


def starts() -> list[int]:
    """First row of each global batch."""
    return [number * GLOBAL_BATCH % ROWS for number in range(STEPS)]


def sentences() -> tuple[np.ndarray, np.ndarray]:
    """Words (ROWS, LENGTH) and, as a class of each row, a property of them."""
    generator = np.random.default_rng(3)
    words = generator.integers(0, WORDS, (ROWS, LENGTH), dtype=np.int32)
    return words, (words[:, 0] % CLASSES).astype(np.int64)


def report(trained: tuple[keras.Model, list[float]]) -> None:
    model, losses = trained
    weights = [weight.numpy() for weight in model.trainable_variables]
    bits = hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()
    flat = np.concatenate([weight.reshape(-1) for weight in weights])
    print(json.dumps({"losses": losses, "bits": bits, "weights": flat.tolist()}), flush=True)

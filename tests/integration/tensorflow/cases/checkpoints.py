"""Training that is interrupted: rank 0 writes and reads the checkpoint, in another world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from integration.tensorflow.cases.keras_callbacks import assert_equal_on_all_ranks, data_of, flat, trained

import smddp.tensorflow.keras as sdp

__all__ = ["first_half", "second_half", "uninterrupted"]

HALF, WHOLE = 2, 4


def uninterrupted(_: str) -> None:
    """All epochs in one go."""
    sdp.init()
    model = make_model()
    train(compiled(model), 0, WHOLE)
    report(model)


def first_half(folder: str) -> None:
    """Rank 0 writes checkpoints of both kinds."""
    sdp.init()
    model = make_model()
    writing = [keras.callbacks.ModelCheckpoint(Path(folder) / "model.keras")] if sdp.rank() == 0 else []
    train(compiled(model), 0, HALF, *writing)
    if sdp.rank() == 0:
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(f"{folder}/checkpoint")
    sdp.shutdown()


def second_half(folder: str, way: str) -> None:
    """Rank 0 reads one of them: "recompiled" or "in place" the model, "restored" TensorFlow's checkpoint."""
    sdp.init()
    if sdp.rank() == 0 and way != "restored":
        model = keras.models.load_model(Path(folder) / "model.keras")
        assert type(model.optimizer) is keras.optimizers.Adam
        optimizer = sdp.DistributedOptimizer(model.optimizer)
        if way == "recompiled":
            model.compile(optimizer, "mse", jit_compile=False)
    else:
        model = compiled(make_model())
    if sdp.rank() == 0 and way == "restored":
        model.optimizer.build(model.trainable_weights)
        restored = tf.train.Checkpoint(model=model, optimizer=model.optimizer).read(f"{folder}/checkpoint")
        restored.assert_consumed()
    train(model, HALF, WHOLE)
    report(model)


def make_model() -> keras.Model:
    """With other weights on each rank."""
    keras.utils.set_random_seed(1 + sdp.rank())
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])


def compiled(model: keras.Model) -> keras.Model:
    model.compile(sdp.DistributedOptimizer(keras.optimizers.Adam(0.05)), "mse", jit_compile=False)
    return model


def train(model: keras.Model, first: int, end: int, *callbacks: Any) -> None:
    callbacks = [sdp.callbacks.BroadcastGlobalVariablesCallback(0), *callbacks]
    how = {"batch_size": 8, "shuffle": False, "verbose": 0, "initial_epoch": first, "epochs": end}
    model.fit(*data_of(sdp.rank()), callbacks=callbacks, **how)


def report(model: keras.Model) -> None:
    assert_equal_on_all_ranks(trained(model))
    values = np.concatenate([flat(trained(model)), [float(model.optimizer.iterations.numpy())]])
    print(json.dumps(values.tolist()), flush=True)
    sdp.shutdown()

"""What `model.fit` has beside plain steps, with the distributed optimizer; ranks must stay equal."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from integration.tensorflow.cases.common import Peers

import smddp.tensorflow as sdp


def make_model(peers: Peers, **layer: Any) -> keras.Model:
    keras.utils.set_random_seed(peers.rank)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh", **layer), keras.layers.Dense(1, **layer)])


def fit(peers: Peers, model: keras.Model, optimizer: Any, **options: Any) -> None:
    sdp.broadcast_variables(model.variables, root_rank=0)
    model.compile(sdp.DistributedOptimizer(optimizer), "mse", jit_compile=False, **options)
    generator = np.random.default_rng(peers.rank)
    x = generator.standard_normal((48, 4)).astype("float32")
    before = model.layers[0].kernel.numpy()
    model.fit(x, x.sum(axis=1), batch_size=8, epochs=2, verbose=0)
    assert np.abs(model.layers[0].kernel.numpy() - before).max() > 1e-4, "nothing was learned"
    weights = tf.concat([tf.reshape(tf.cast(weight, tf.float64), [-1]) for weight in model.weights], axis=0)
    everybody = sdp.allgather(weights[tf.newaxis]).numpy()
    assert (everybody == everybody[0]).all(), "ranks differ"


def adam(peers: Peers) -> None:
    fit(peers, make_model(peers), keras.optimizers.Adam(0.01))


def several_steps_per_execution(peers: Peers) -> None:
    fit(peers, make_model(peers), keras.optimizers.SGD(0.05), steps_per_execution=3)


def gradient_accumulation(peers: Peers) -> None:
    fit(peers, make_model(peers), keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))


def loss_scaling(peers: Peers) -> None:
    model = make_model(peers, dtype=keras.DTypePolicy("mixed_float16"))
    fit(peers, model, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05)))


def bfloat16(peers: Peers) -> None:
    fit(peers, make_model(peers, dtype=keras.DTypePolicy("mixed_bfloat16")), keras.optimizers.SGD(0.05))


def clipping_and_moving_average(peers: Peers) -> None:
    fit(peers, make_model(peers), keras.optimizers.SGD(0.05, global_clipnorm=1.0, use_ema=True))


def saved_models(peers: Peers) -> None:
    """Load without this library: the optimizer is saved as what it was."""
    model = make_model(peers)
    fit(peers, model, keras.optimizers.Adam(0.01))
    with tempfile.TemporaryDirectory(dir=os.environ["TMPDIR"]) as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    assert type(loaded.optimizer) is keras.optimizers.Adam
    assert int(loaded.optimizer.iterations) == 12
    assert (loaded.layers[0].kernel.numpy() == model.layers[0].kernel.numpy()).all()

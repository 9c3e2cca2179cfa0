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


def own_data(rank: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(rank).standard_normal((48, 4)).astype("float32")
    return x, x.sum(axis=1)


def fit(peers: Peers, model: keras.Model, optimizer: Any, **options: Any) -> None:
    sdp.broadcast_variables(model.variables, root_rank=0)
    model.compile(sdp.DistributedOptimizer(optimizer), "mse", jit_compile=False, **options)
    before = model.layers[0].kernel.numpy()
    model.fit(*own_data(peers.rank), batch_size=8, epochs=2, verbose=0)
    assert np.abs(model.layers[0].kernel.numpy() - before).max() > 1e-4, "nothing was learned"
    assert_equal_on_all_ranks(model.weights)


def assert_equal_on_all_ranks(variables: list[Any]) -> None:
    values = tf.concat([tf.reshape(tf.cast(variable, tf.float64), [-1]) for variable in variables], axis=0)
    everybody = sdp.allgather(values[tf.newaxis]).numpy()
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


def overflow_on_one_rank(peers: Peers) -> None:
    """All ranks leave the step out, with the optimizer inside of what compile makes of it or around it."""
    for around in (False, True, peers.rank == 0):
        fit_with_overflow(peers, around)


def fit_with_overflow(peers: Peers, around: bool) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    model = make_model(peers)
    optimizer = keras.optimizers.SGD(0.05)
    optimizer = sdp.DistributedOptimizer(keras.optimizers.LossScaleOptimizer(optimizer) if around else optimizer)
    sdp.broadcast_variables(model.variables, root_rank=0)
    model.compile(optimizer, "mse", jit_compile=False)
    keras.config.set_dtype_policy("float32")
    x, y = (0.1 * values for values in own_data(peers.rank))  # whose gradients, scaled, are float16
    if peers.rank == peers.size - 1:
        y[8:16] = 6e4  # its second batch
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert float(model.optimizer.dynamic_scale.numpy()) == 2.0**14
    assert int(model.optimizer.iterations.numpy()) == 5
    assert np.isfinite(model.layers[0].kernel.numpy()).all()
    assert_equal_on_all_ranks(model.weights + model.optimizer.variables)


def custom_train_step(peers: Peers) -> None:
    class Twice(keras.Model):
        """Trains on each batch as it is, and on its mirror image."""

        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x: tf.Tensor) -> tf.Tensor:
            return self.dense(x)

        def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y[:, tf.newaxis]) ** 2 + (self(-x) + y[:, tf.newaxis]) ** 2)
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}

    keras.utils.set_random_seed(peers.rank)
    model = Twice()
    model(tf.zeros((1, 4)))
    fit(peers, model, keras.optimizers.Adam(0.01))


def tape_and_optimizer(peers: Peers) -> None:
    """Averages of averages: nothing changes, and nothing waits."""
    variable = tf.Variable([0.0, 0.0])
    optimizer = sdp.DistributedOptimizer(keras.optimizers.SGD(1.0))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(variable * (4.0 * peers.rank))
    gradients = sdp.DistributedGradientTape(tape).gradient(loss, [variable])
    optimizer.apply_gradients(zip(gradients, [variable], strict=True))
    np.testing.assert_allclose(variable.numpy(), -2.0 * (peers.size - 1))


def bfloat16(peers: Peers) -> None:
    fit(peers, make_model(peers, dtype=keras.DTypePolicy("mixed_bfloat16")), keras.optimizers.SGD(0.05))


def clipping_and_moving_average(peers: Peers) -> None:
    fit(peers, make_model(peers), keras.optimizers.SGD(0.05, global_clipnorm=1.0, use_ema=True))


def evaluation(peers: Peers) -> None:
    """Each rank may evaluate as it likes; nothing waits for the others."""
    model = make_model(peers)
    fit(peers, model, keras.optimizers.Adam(0.01))
    everybody = [model.evaluate(*own_data(rank), verbose=0) for rank in range(peers.size)]
    own = model.evaluate(*own_data(peers.rank), verbose=0) if peers.rank else everybody[0]
    assert abs(float(sdp.oob_allreduce(own)) - np.mean(everybody)) < 1e-5


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

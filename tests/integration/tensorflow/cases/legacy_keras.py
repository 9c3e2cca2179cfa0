"""tf_keras, the Keras before the third: its optimizers, those of its `legacy` module, and the callbacks."""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when tf.keras is used for the first time

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from integration.tensorflow.cases.common import Peers

import smddp.tensorflow.keras as sdp

# It warns where a batch takes less time than a callback, and of mixed precision on a CPU.
tf.get_logger().setLevel("ERROR")

OPTIMIZERS: dict[str, Callable[..., Any]] = {"now": tf_keras.optimizers.SGD, "then": tf_keras.optimizers.legacy.SGD}
STEPS, BATCH, FEATURES = 4, 8, 3


def data_of(rank: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(rank).standard_normal((STEPS * BATCH, FEATURES)).astype("float32")
    return x, x.sum(axis=1)


def make_model(peers: Peers, *, built: bool = True) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(peers.rank)
    inputs = [tf_keras.Input((FEATURES,))] if built else []
    return tf_keras.Sequential([*inputs, tf_keras.layers.Dense(4), tf_keras.layers.Dense(1)])


def fit(peers: Peers, model: tf_keras.Model, optimizer: Any, *callbacks: Any, **options: Any) -> Any:
    model.compile(sdp.DistributedOptimizer(optimizer), "mse")
    callbacks = (sdp.callbacks.BroadcastGlobalVariablesCallback(0), *callbacks)
    x, y = data_of(peers.rank)
    return model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks), **options)


def variables_of(optimizer: Any) -> list[Any]:
    return optimizer.variables() if callable(optimizer.variables) else optimizer.variables


def assert_equal_on_all_ranks(variables: list[Any]) -> None:
    values = tf.concat([tf.reshape(tf.cast(variable, tf.float64), [-1]) for variable in variables], axis=0)
    everybody = sdp.allgather(values[tf.newaxis]).numpy()
    assert (everybody == everybody[0]).all(), "ranks differ"


def callbacks_are_of_this_keras(peers: Peers) -> None:
    for name in ("BroadcastGlobalVariablesCallback", "MetricAverageCallback", "LearningRateWarmupCallback"):
        assert issubclass(getattr(sdp.callbacks, name), tf_keras.callbacks.Callback)


def fits(peers: Peers) -> None:
    for make in (*OPTIMIZERS.values(), tf_keras.optimizers.Adam, tf_keras.optimizers.legacy.Adam):
        for built in (True, False):
            model = make_model(peers, built=built)
            metrics, warm_up = sdp.callbacks.MetricAverageCallback(), sdp.callbacks.LearningRateWarmupCallback(0.05, 1)
            history = fit(peers, model, make(0.3), metrics, warm_up, epochs=2)
            assert_equal_on_all_ranks(model.weights + variables_of(model.optimizer))
            assert_equal_on_all_ranks([tf.constant(history.history["loss"])])
            assert history.history["loss"][1] < history.history["loss"][0], "nothing was learned"
            np.testing.assert_allclose(history.history["learning_rate"], [0.05, 0.05], rtol=1e-6)
            assert int(model.optimizer.iterations) == 2 * STEPS


def minimize(peers: Peers) -> None:
    """The gradient is 4 times the rank on each; averaging averages once more changes nothing."""
    expected = [-2.0 * (peers.size - 1)] * 2
    for make in OPTIMIZERS.values():
        for wrap in (lambda tape: tape, sdp.DistributedGradientTape):
            variable, optimizer = tf.Variable([0.0, 0.0]), sdp.DistributedOptimizer(make(1.0))
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(variable * 4.0 * float(peers.rank))
            optimizer.minimize(loss, [variable], tape=wrap(tape))
            np.testing.assert_allclose(variable.numpy(), expected)
        variable, optimizer = tf.Variable([0.0, 0.0]), sdp.DistributedOptimizer(make(1.0))
        optimizer.minimize(lambda v=variable: tf.reduce_sum(v * 4.0 * float(peers.rank)), [variable])
        np.testing.assert_allclose(variable.numpy(), expected)


def averages_that_are_there_already(peers: Peers) -> None:
    own = [(tf.constant([4.0 * peers.rank]), tf.Variable([0.0]))]
    for name, make in OPTIMIZERS.items():
        own[0][1].assign([0.0])
        how = {"skip_gradients_aggregation": True} if name == "now" else {"experimental_aggregate_gradients": False}
        sdp.DistributedOptimizer(make(1.0)).apply_gradients(own, **how)
        np.testing.assert_allclose(own[0][1].numpy(), [-4.0 * peers.rank])


def overflow_on_one_rank(peers: Peers) -> None:
    for make in OPTIMIZERS.values():
        for around in (False, True, peers.rank == 0):
            tf_keras.mixed_precision.set_global_policy("mixed_float16")
            model = make_model(peers)
            x, y = (0.1 * values for values in data_of(peers.rank))
            if peers.rank == peers.size - 1:
                y[BATCH : 2 * BATCH] = 6e4
            optimizer = make(0.05)
            optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer) if around else optimizer
            model.compile(sdp.DistributedOptimizer(optimizer), "mse")
            tf_keras.mixed_precision.set_global_policy("float32")
            broadcast = sdp.callbacks.BroadcastGlobalVariablesCallback(0)
            model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[broadcast])
            assert float(model.optimizer.loss_scale) == 2.0**14
            assert all(np.isfinite(weight).all() for weight in model.get_weights())
            assert_equal_on_all_ranks(model.weights)


def momentum_correction(peers: Peers) -> None:
    for make in OPTIMIZERS.values():
        model = tf_keras.Sequential([tf_keras.Input((FEATURES,)), tf_keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.zeros((FEATURES, 1))])
        warm_up = sdp.callbacks.LearningRateWarmupCallback(0.08, 2)
        fit(peers, model, make(1.0, momentum=0.9), warm_up, epochs=3)
        np.testing.assert_allclose(model.get_weights()[0][:, 0], sgd_in_numpy(peers.size, 0.08), rtol=0, atol=1e-6)


def sgd_in_numpy(size: int, initial_lr: float) -> np.ndarray:
    """SGD whose velocity is free of the learning rate, which a change of the rate leaves alone."""
    weights, velocity = np.zeros(FEATURES), np.zeros(FEATURES)
    for step in range(3 * STEPS):
        rows = slice(step % STEPS * BATCH, (step % STEPS + 1) * BATCH)
        gradients = []
        for rank in range(size):
            x, y = (values[rows].astype("float64") for values in data_of(rank))
            gradients.append(2 / BATCH * x.T @ (x @ weights - y))
        velocity = 0.9 * velocity + np.mean(gradients, axis=0)
        weights = weights - initial_lr / size * (1 + min((step + 1) / (2 * STEPS), 1) * (size - 1)) * velocity
    return weights


def saved_models(peers: Peers) -> None:
    """Load without this library: the optimizer is saved as what it was."""
    for name, make in OPTIMIZERS.items():
        model = make_model(peers)
        fit(peers, model, make(0.01, momentum=0.9))
        with tempfile.TemporaryDirectory(dir=os.environ["TMPDIR"]) as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            loaded = tf_keras.models.load_model(path)
        assert type(loaded.optimizer).__module__.startswith("tf_keras.")
        assert not hasattr(type(loaded.optimizer), "_smddp_reduction")
        # Those of an older optimizer are not in this format.
        assert int(loaded.optimizer.iterations) == (STEPS if name == "now" else 0)
        for got, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(got, expected)

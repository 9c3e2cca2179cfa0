"""The callbacks for `model.fit`, by what the callbacks after them see."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from integration.tensorflow.cases.common import Peers
from integration.tensorflow.cases.faults import tell

import smddp.tensorflow.keras as sdp
from smddp.errors import SMDDPArgumentError, SMDDPError, SMDDPStateError
from smddp.tensorflow.keras.callbacks import (
    BroadcastGlobalVariablesCallback,
    LearningRateWarmupCallback,
    MetricAverageCallback,
)

STEPS, BATCH, FEATURES = 4, 8, 3


class Observer(keras.callbacks.Callback):
    """Notes what there is before the first batch, at each batch, and in the logs of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[np.ndarray] = []
        self.rates: list[float] = []
        self.logs: list[dict[str, float]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self.first = self.first or [weight.numpy() for weight in self.model.weights]
        self.rates.append(float(self.model.optimizer.learning_rate.numpy()))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch
        self.logs.append(dict(logs))


class Log(keras.callbacks.Callback):
    """Puts values of this rank into the logs: those of the epoch."""

    def __init__(self, **values: list[float]) -> None:
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs.update({name: of_epoch[epoch] for name, of_epoch in self.values.items()})


def data_of(rank: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(rank).standard_normal((STEPS * BATCH, FEATURES)).astype("float32")
    return x, x.sum(axis=1)


def make_model(peers: Peers, optimizer: Any, *, built: bool = True) -> keras.Model:
    """With other weights on each rank; a dropout and moving averages are part of it."""
    keras.utils.set_random_seed(peers.rank)
    layers = [
        keras.layers.Dense(4),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers] if built else layers)
    model.compile(sdp.DistributedOptimizer(optimizer), "mse", jit_compile=False)
    return model


def fit(peers: Peers, model: keras.Model, *callbacks: keras.callbacks.Callback, **options: Any) -> Any:
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, **options}
    return model.fit(*data_of(peers.rank), callbacks=list(callbacks), **options)


def of_all_ranks(values: Any) -> np.ndarray:
    """Of each rank the values in one row."""
    return sdp.allgather(tf.reshape(tf.cast(values, tf.float64), (1, -1))).numpy()


def flat(variables: list[Any]) -> np.ndarray:
    return np.concatenate(
        [np.asarray(tf.convert_to_tensor(variable), np.float64).reshape(-1) for variable in variables]
    )


def assert_equal_on_all_ranks(variables: list[Any]) -> None:
    rows = of_all_ranks(flat(variables))
    assert (rows == rows[0]).all(), "ranks differ"


def trained(model: keras.Model) -> list[Any]:
    """What gradients decide; not the moving averages of a rank's own batches."""
    return model.trainable_weights + model.optimizer.variables


def weights_before_the_first_batch(peers: Peers) -> None:
    model = make_model(peers, keras.optimizers.Adam(0.01 * (1 + peers.rank)))
    root, observer = peers.size - 1, Observer()
    given = flat(model.weights)
    fit(peers, model, BroadcastGlobalVariablesCallback(root), observer)
    np.testing.assert_array_equal(flat(observer.first), of_all_ranks(given)[root])
    np.testing.assert_allclose(observer.rates, 0.01 * (1 + root), rtol=1e-6)
    assert_equal_on_all_ranks(trained(model))


def generators_stay_apart(peers: Peers) -> None:
    model = make_model(peers, keras.optimizers.SGD(0.01))
    seeds = [variable for variable in model.variables if "seed_generator" in variable.path]
    assert seeds
    before = flat(seeds)
    fit(peers, model, BroadcastGlobalVariablesCallback(0), epochs=1, steps_per_epoch=1)
    assert len(np.unique(of_all_ranks(before), axis=0)) == peers.size
    assert len(np.unique(of_all_ranks(flat(seeds)), axis=0)) == peers.size


def weights_after_the_first_batch(peers: Peers) -> None:
    """Where the model has no variables until then."""
    model = make_model(peers, keras.optimizers.Adam(0.01), built=False)
    fit(peers, model, BroadcastGlobalVariablesCallback(0))
    assert_equal_on_all_ranks(trained(model))


def weights_on_some_ranks_only(peers: Peers) -> None:
    model = make_model(peers, keras.optimizers.Adam(0.01), built=peers.rank == 0)
    if peers.size > 1:
        refused(lambda: fit(peers, model, BroadcastGlobalVariablesCallback(0)), "on some ranks only", SMDDPStateError)


def each_fit(peers: Peers) -> None:
    """What one rank has loaded between two of them reaches the others."""
    model = make_model(peers, keras.optimizers.SGD(0.01, momentum=0.9))
    callback, observer = BroadcastGlobalVariablesCallback(0), Observer()
    fit(peers, model, callback)
    model.set_weights([np.full_like(weight, 1 + peers.rank) for weight in model.get_weights()])
    fit(peers, model, callback, observer)
    assert (flat(observer.first) == 1).all()
    assert_equal_on_all_ranks(trained(model))


def metrics(peers: Peers) -> None:
    model = make_model(peers, keras.optimizers.SGD(0.01))
    own, seen = Observer(), Observer()
    log = Log(precision=[0.25 * peers.rank, 1.0], note=["text", "text"])
    # The validation differs between ranks as well; verbose has Keras print nothing.
    history = fit(
        peers, model, log, own, MetricAverageCallback(), seen, epochs=2, validation_data=data_of(peers.rank + 9)
    )
    for epoch in range(2):
        assert set(own.logs[epoch]) == {"loss", "val_loss", "precision", "note"}
        for name in ("loss", "val_loss", "precision"):
            everybody = of_all_ranks(own.logs[epoch][name])
            assert epoch or peers.size == 1 or len(np.unique(everybody)) > 1
            assert abs(seen.logs[epoch][name] - everybody.mean()) < 1e-12
            assert type(seen.logs[epoch][name]) is float
            assert history.history[name][epoch] == seen.logs[epoch][name]
        assert seen.logs[epoch]["note"] == "text"


def stopping_early_together(peers: Peers) -> None:
    """Alone, rank 0 would stop after its second epoch and the others never."""
    model = make_model(peers, keras.optimizers.SGD(0.01))
    watched = [1.0, 2.0, 3.0, 4.0, 5.0] if peers.rank == 0 else [9.0, 5.0, 1.0, 1.0, 1.0]
    expected = {1: 2, 2: 4, 4: 4}[peers.size]
    stop = keras.callbacks.EarlyStopping("watched", mode="min", patience=1)
    history = fit(peers, model, Log(watched=watched), MetricAverageCallback(), stop, epochs=5)
    assert len(history.epoch) == expected


def warm_up(peers: Peers) -> None:
    model = make_model(peers, keras.optimizers.Adam(7.0))
    observer, printed = Observer(), io.StringIO()
    warm_up = LearningRateWarmupCallback(0.5, warmup_epochs=2, verbose=1)
    with contextlib.redirect_stdout(printed):
        fit(peers, model, warm_up, observer, epochs=3)
    share = np.minimum(np.arange(1, 3 * STEPS + 1) / (2 * STEPS), 1)
    expected = 0.5 / peers.size * (1 + share * (peers.size - 1))
    np.testing.assert_allclose(observer.rates, expected, rtol=1e-6)
    ends = [logs["learning_rate"] for logs in observer.logs]
    np.testing.assert_allclose(ends, expected[STEPS - 1 :: STEPS], rtol=1e-6)
    line = "\nEpoch 2: finished gradual learning rate warmup to 0.5.\n"
    assert printed.getvalue() == (line if peers.rank == 0 else "")


def warm_up_of_several_steps_per_execution(peers: Peers) -> None:
    model, observer = make_model(peers, keras.optimizers.SGD(7.0)), Observer()
    model.compile(model.optimizer, "mse", jit_compile=False, steps_per_execution=2)
    fit(peers, model, LearningRateWarmupCallback(0.04, warmup_epochs=1), observer, epochs=2)
    share = np.array([1 / STEPS, 3 / STEPS, 1, 1])
    np.testing.assert_allclose(observer.rates, 0.04 / peers.size * (1 + share * (peers.size - 1)), rtol=1e-6)


def momentum_correction(peers: Peers) -> None:
    """As SGD whose velocity is free of the learning rate, which a change of the rate leaves alone."""
    for nesterov in (False, True):
        for corrects in (True, False):
            optimizer = keras.optimizers.SGD(1.0, momentum=0.9, nesterov=nesterov)
            got = linear_fit(peers, optimizer, LearningRateWarmupCallback(0.08, 2, corrects))
            apart = np.abs(got - sgd_in_numpy(peers.size, 0.08, nesterov)).max()
            assert (apart < 1e-6) == (corrects or peers.size == 1), f"{apart} {nesterov} {corrects}"


def momentum_correction_inside_loss_scaling(peers: Peers) -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0, momentum=0.9), initial_scale=8.0)
    got = linear_fit(peers, optimizer, LearningRateWarmupCallback(0.08, 2))
    np.testing.assert_allclose(got, sgd_in_numpy(peers.size, 0.08, nesterov=False), rtol=0, atol=1e-6)


def linear_fit(peers: Peers, optimizer: Any, callback: keras.callbacks.Callback) -> np.ndarray:
    """The weights (FEATURES,) after 3 epochs."""
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((FEATURES, 1))])
    model.compile(sdp.DistributedOptimizer(optimizer), "mse", jit_compile=False)
    fit(peers, model, callback, epochs=3)
    return model.get_weights()[0][:, 0]


def sgd_in_numpy(size: int, initial_lr: float, nesterov: bool) -> np.ndarray:
    weights, velocity = np.zeros(FEATURES), np.zeros(FEATURES)
    for step in range(3 * STEPS):
        rate = initial_lr / size * (1 + min((step + 1) / (2 * STEPS), 1) * (size - 1))
        gradient = np.mean([gradient_of(rank, step % STEPS, weights) for rank in range(size)], axis=0)
        velocity = 0.9 * velocity + gradient
        weights = weights - rate * (gradient + 0.9 * velocity if nesterov else velocity)
    return weights


def gradient_of(rank: int, step: int, weights: np.ndarray) -> np.ndarray:
    x, y = (values[step * BATCH : (step + 1) * BATCH].astype("float64") for values in data_of(rank))
    return 2 / BATCH * x.T @ (x @ weights - y)


def warm_up_needs_a_number_and_steps(peers: Peers) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    refused(
        lambda: fit(peers, make_model(peers, keras.optimizers.SGD(schedule)), LearningRateWarmupCallback(0.1)), "number"
    )

    callback, model = LearningRateWarmupCallback(0.1), make_model(peers, keras.optimizers.SGD(0.01))
    callback.set_model(model)
    callback.set_params({"steps": None})  # of a generator
    refused(callback.on_train_begin, "steps_per_epoch")
    observer = Observer()
    fit(peers, model, LearningRateWarmupCallback(0.1, 1, steps_per_epoch=2 * STEPS), observer)
    assert abs(observer.rates[-1] - 0.05 * (1 + 1 / peers.size)) < 1e-7
    assert abs(observer.logs[-1]["learning_rate"] - 0.1) < 1e-7


def refused(call: Callable[[], Any], text: str, cls: type[SMDDPError] = SMDDPArgumentError) -> None:
    try:
        call()
    except cls as error:
        assert text in str(error), error
    else:
        raise AssertionError(text)


def different_metrics(_: str) -> None:
    """The last rank has one more than the others."""
    sdp.init()
    callback = MetricAverageCallback()
    logs = {"loss": 1.0, **({"recall": 0.5} if sdp.rank() == sdp.size() - 1 else {})}
    tell(lambda: callback.on_epoch_end(0, logs))

"""What `model.fit` does at the right moments: equal weights, metrics of all ranks, a warm-up of the learning rate.

For Keras 3, and with TF_USE_LEGACY_KERAS=1 for tf_keras. Every rank passes the same ones, in the same order.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import tensorflow as tf

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.tensorflow.collectives import ReduceOp, allreduce, to_root
from smddp.tensorflow.errors import call, failure
from smddp.tensorflow.keys import make_key
from smddp.tensorflow.library import OPS
from smddp.tensorflow.variables import broadcast_variables
from smddp.tensorflow.world import require_world

__all__ = ["BroadcastGlobalVariablesCallback", "LearningRateWarmupCallback", "MetricAverageCallback"]

_WITH_VELOCITY = ("SGD", "RMSprop")


class BroadcastGlobalVariablesCallback(tf.keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Gives all ranks the weights and the optimizer's variables of rank `root_rank`, in each `fit`.

    Before the first batch where the model has its variables by then (it has an Input, was called, or was loaded), else
    after it. The states of random generators stay each rank's own, so that dropout differs between ranks, and so do
    metrics.

    Args:
        root_rank: whose variables.
        device: not needed here.

    Raises:
        SMDDPStateError: before `init`.
        SMDDPArgumentError: there is no such rank.
    """

    def __init__(self, root_rank: int, device: str = "") -> None:
        super().__init__()
        del device
        self._root = to_root("BroadcastGlobalVariablesCallback", root_rank)
        self._waiting = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Send the variables, if they are there.

        Raises:
            SMDDPStateError: they are on some ranks only.
        """
        del logs
        built = _build(self.model)
        alike = allreduce(tf.cast([built, not built], tf.uint8), op=ReduceOp.MIN, name="the model is built")
        # A model that makes its variables in the first batch has Keras trace another function than one that has them.
        if not any(alike):
            msg = (
                "BroadcastGlobalVariablesCallback: the model has its variables on some ranks only; let all make them "
                "before fit, with an Input or by a call of the model"
            )
            raise failure(SMDDPStateError, msg)
        self._waiting = not built
        if built:
            self._broadcast()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Send the variables, if the first batch has made them."""
        del batch, logs
        if self._waiting:
            self._waiting = False
            self._broadcast()

    def _broadcast(self) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        broadcast_variables(self.model.weights, self._root)
        if optimizer is not None:
            variables = optimizer.variables
            broadcast_variables(variables() if callable(variables) else variables, self._root)


class MetricAverageCallback(tf.keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Averages the metrics of an epoch over all ranks, those of the validation included.

    The callbacks after it in the list and the history see the averages, so that all ranks stop early or lower the
    learning rate together. An average of averages: ranks with different numbers of samples count the same. Values that
    are no numbers stay.

    Args:
        device: not needed here.

    Raises:
        SMDDPStateError: before `init`.
    """

    def __init__(self, device: str = "") -> None:
        super().__init__()
        del device
        require_world("MetricAverageCallback")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Put the averages in the place of this rank's values.

        Raises:
            SMDDPMismatchError: ranks have different metrics; the message names them.
        """
        del epoch
        logs = {} if logs is None else logs
        names = sorted(name for name, value in logs.items() if isinstance(value, Real))
        # With none at all still an op, so that a rank without metrics is found at once and not at the deadline.
        values = [tf.constant(float(logs[name]), tf.float64) for name in names] or [tf.zeros([0], tf.float64)]
        averages = call(OPS.smddp_all_reduce, values, reduce_op="average", key=make_key("metrics"), names=names)
        for name, average in zip(names, averages, strict=False):
            logs[name] = float(average)


class LearningRateWarmupCallback(tf.keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Raises the learning rate from `initial_lr / size()` to `initial_lr`, a little with each batch.

    The last batch of the warm-up has `initial_lr`; other callbacks may change the rate after it. Goyal et al. 2017,
    "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", arXiv:1706.02677, sections 2.2 and 3.

    Args:
        initial_lr: the learning rate for all ranks together.
        warmup_epochs: epochs that it takes.
        momentum_correction: let the velocity of SGD and RMSprop grow as the learning rate does. Keras keeps it
            multiplied by the learning rate of the step before.
        steps_per_epoch: batches of an epoch; by default those that `fit` knows of.
        verbose: 1 prints a line on rank 0 at the end.

    Raises:
        SMDDPStateError: before `init`.
    """

    def __init__(
        self,
        initial_lr: float,
        warmup_epochs: int = 5,
        momentum_correction: bool = True,
        steps_per_epoch: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        require_world("LearningRateWarmupCallback")
        self._initial_lr = initial_lr
        self._warmup_epochs = warmup_epochs
        self._corrects = momentum_correction
        self._steps_per_epoch = steps_per_epoch
        self._verbose = verbose
        self._epoch = 0
        self._steps = 1

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the number of batches and the learning rate.

        Raises:
            SMDDPArgumentError: the number of batches is not known, or the learning rate is a schedule.
        """
        del logs
        steps = self._steps_per_epoch or (self.params or {}).get("steps")
        if not steps:
            msg = "LearningRateWarmupCallback: the number of batches is not known; give steps_per_epoch"
            raise failure(SMDDPArgumentError, msg)
        self._steps = steps
        _rate(self.model.optimizer)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember the epoch."""
        del logs
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate of this batch."""
        del logs
        if self._epoch < self._warmup_epochs:
            self._set_rate(self._epoch + (batch + 1) / self._steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log the learning rate, as `learning_rate`."""
        if epoch == self._warmup_epochs - 1:
            self._set_rate(self._warmup_epochs)  # with steps_per_execution the last batch had none of its own
        rate = _number(_rate(self.model.optimizer))
        if logs is not None:
            logs["learning_rate"] = rate
        if epoch == self._warmup_epochs - 1 and self._verbose and require_world("LearningRateWarmupCallback").rank == 0:
            print(f"\nEpoch {epoch + 1}: finished gradual learning rate warmup to {rate:g}.")

    def _set_rate(self, epochs: float) -> None:
        size = require_world("LearningRateWarmupCallback").size
        rate = _rate(self.model.optimizer)
        before = _number(rate)
        rate.assign(self._initial_lr / size * (epochs * (size - 1) / self._warmup_epochs + 1))
        after = _number(rate)
        if self._corrects and before not in (0, after):
            for velocity in _velocities(self.model):
                velocity.assign(velocity * tf.cast(after / before, velocity.dtype))


def _build(model: Any) -> bool:
    # Whether the model has all its variables, and its optimizer then has, too.
    optimizer = getattr(model, "optimizer", None)
    if not model.built or optimizer is None:
        return bool(model.built)
    if hasattr(optimizer, "_create_all_weights"):
        optimizer._create_all_weights(model.trainable_weights)  # one of tf_keras.optimizers.legacy
    elif not getattr(optimizer, "built", False):
        optimizer.build(model.trainable_weights)
    return True


def _innermost(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _rate(optimizer: Any) -> Any:
    # The variable. Newer optimizers hide a schedule behind the number that it has come to.
    optimizer = _innermost(optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    rate = optimizer.learning_rate if rate is None else rate
    if not hasattr(rate, "assign"):
        msg = "LearningRateWarmupCallback: the optimizer's learning rate is a schedule; give it a number"
        raise failure(SMDDPArgumentError, msg)
    return rate


def _number(variable: Any) -> float:
    return float(tf.convert_to_tensor(variable))


def _velocities(model: Any) -> list[Any]:
    optimizer = _innermost(model.optimizer)
    if not any(base.__name__ in _WITH_VELOCITY for base in type(optimizer).__mro__):
        return []  # the momentum of Adam and others is free of the learning rate
    if hasattr(optimizer, "get_slot"):  # one of tf_keras.optimizers.legacy
        made = "momentum" in optimizer.get_slot_names()
        return [optimizer.get_slot(weight, "momentum") for weight in model.trainable_weights] if made else []
    velocities = getattr(optimizer, "momentums", None) or getattr(optimizer, "_momentums", None) or []
    return [velocity for velocity in velocities if velocity is not None]

"""Train a digit classifier in a custom TensorFlow loop, as scripts for smdistributed.dataparallel.tensorflow do it.

Run it alone, or on several ranks:

    python examples/04_tensorflow_tape_digits.py
    smddprun -np 4 python examples/04_tensorflow_tape_digits.py
    torchrun --nproc-per-node 4 examples/04_tensorflow_tape_digits.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

import smddp
import smdistributed.dataparallel.tensorflow as sdp

from digits import Curve, Scans, parse_options, report
from digits.tensorflow import digits_with_channels, make_model


def own_batches(scans: Scans, batch: int, generator: np.random.Generator) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """This rank's part of each global batch of one epoch; equally many on all ranks."""
    images, labels = scans
    order = generator.permutation(len(labels))
    for start in range(0, len(order) - batch + 1, batch):
        rows = order[start : start + batch][sdp.rank() :: sdp.size()]
        yield tf.constant(images[rows]), tf.constant(labels[rows])


def make_training_step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., tf.Tensor]:
    """A function of images, labels and whether it is the first batch; returns the loss of all ranks."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def training_step(images: tf.Tensor, labels: tf.Tensor, first_batch: bool) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        tape = sdp.DistributedGradientTape(tape)  # gradients are averaged over the ranks while backward still runs
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        if first_batch:
            sdp.broadcast_variables(model.variables, root_rank=0)
            sdp.broadcast_variables(optimizer.variables, root_rank=0)
        return sdp.oob_allreduce(loss)

    return training_step


def test_accuracy(model: keras.Model, scans: Scans) -> float:
    """Right answers per scan; each rank tests its part."""
    images, labels = (values[sdp.rank() :: sdp.size()] for values in scans)
    right = tf.math.count_nonzero(tf.argmax(model(images), axis=1) == labels)
    return float(sdp.allreduce(right, op=sdp.ReduceOp.SUM) / len(scans[1]))


def main() -> None:
    options = parse_options(__doc__, lr="learning rate at the beginning, falling to zero")
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the ranks share the cores

    sdp.init()
    rank, world = sdp.rank(), sdp.size()
    keras.utils.set_random_seed(options.seed + rank)  # the ranks start with different weights, until rank 0's are sent
    train_scans, test_scans = digits_with_channels(options.seed)
    generator = np.random.default_rng(options.seed)

    model = make_model()
    steps = options.epochs * (len(train_scans[1]) // options.batch)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(options.lr, steps))
    training_step = make_training_step(model, optimizer)
    curve = Curve()
    started = time.perf_counter()
    progress = tqdm(total=steps, unit="step", mininterval=0.5, disable=rank != 0)
    for epoch in range(options.epochs):
        losses = []
        for step, (images, labels) in enumerate(own_batches(train_scans, options.batch, generator)):
            losses.append(training_step(images, labels, epoch == 0 and step == 0))
            progress.update()
        curve.add(loss=float(tf.reduce_mean(losses)), accuracy=test_accuracy(model, test_scans))
        progress.set_postfix(loss=f"{curve.loss[-1]:.4f}", accuracy=f"{curve.accuracy[-1]:.4f}", refresh=False)
    seconds = time.perf_counter() - started
    progress.close()

    where = f"{world} {'rank' if world == 1 else 'ranks'}, {smddp.get_communicator().transport}"
    sdp.shutdown()
    if rank == 0:
        report(curve, options.plot, scans=steps * options.batch, seconds=seconds, where=where)


if __name__ == "__main__":
    main()

"""Train a digit classifier with Keras' `fit`.

Run it alone, or on several ranks:

    python examples/05_keras_fit_digits.py
    smddprun -np 4 python examples/05_keras_fit_digits.py --plot curve.png
    torchrun --nproc-per-node 4 examples/05_keras_fit_digits.py
"""

from __future__ import annotations

import time
from argparse import Namespace

import keras
import numpy as np
import tensorflow as tf

import smddp
import smdistributed.dataparallel.tensorflow.keras as sdp
from smdistributed.dataparallel.tensorflow.keras import callbacks

from digits import Curve, Scans, parse_options, report
from digits.tensorflow import digits_with_channels, make_model

WARMUP_EPOCHS = 2


def own_batches(scans: Scans, options: Namespace) -> tf.data.Dataset:
    """This rank's part of each global batch, in an order that changes with each epoch; equally many on all ranks."""
    shuffled = tf.data.Dataset.from_tensor_slices(scans).shuffle(len(scans[1]), seed=options.seed)
    own = shuffled.shard(sdp.size(), sdp.rank()).batch(options.batch // sdp.size())
    return own.take(len(scans[1]) // options.batch)


def decay(epoch: int, rate: float, options: Namespace) -> float:
    """The learning rate of an epoch after the warm-up: falling towards zero in equal steps."""
    if epoch < WARMUP_EPOCHS:
        return rate
    return options.lr * (options.epochs - epoch) / (options.epochs - WARMUP_EPOCHS)


def compiled(model: keras.Model, options: Namespace) -> keras.Model:
    """The model with an optimizer that averages the gradients of all ranks."""
    model.compile(
        sdp.DistributedOptimizer(keras.optimizers.Adam(options.lr)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA cannot compile communication
    )
    return model


def main() -> None:
    options = parse_options(__doc__, lr=f"learning rate after {WARMUP_EPOCHS} epochs, falling from there to zero")
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the ranks share the cores

    sdp.init()
    rank, world = sdp.rank(), sdp.size()
    train_scans, test_scans = digits_with_channels(options.seed)
    train_batches = own_batches(train_scans, options)  # all ranks shuffle alike, so this comes before the line below
    keras.utils.set_random_seed(options.seed + rank)  # the ranks start with different weights, until rank 0's are sent
    own_test_scans = tuple(values[rank::world] for values in test_scans)

    model = compiled(make_model(), options)
    started = time.perf_counter()
    history = model.fit(
        train_batches,
        epochs=options.epochs,
        shuffle=False,  # they are
        validation_data=own_test_scans,
        verbose=2 if rank == 0 else 0,
        callbacks=[
            callbacks.BroadcastGlobalVariablesCallback(0),
            callbacks.MetricAverageCallback(),  # what is logged and decided after it is so for all ranks
            callbacks.LearningRateWarmupCallback(options.lr, WARMUP_EPOCHS),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: decay(epoch, rate, options)),
        ],
    ).history
    seconds = time.perf_counter() - started

    # The ranks' parts of the test scans may differ by one scan, so their accuracies are not averaged but counted.
    images, labels = own_test_scans
    right = np.count_nonzero(model.predict_on_batch(images).argmax(axis=1) == labels)
    accuracy = float(sdp.allreduce(right, op=sdp.ReduceOp.SUM)) / len(test_scans[1])
    where = f"{world} {'rank' if world == 1 else 'ranks'}, {smddp.get_communicator().transport}"
    sdp.shutdown()
    if rank == 0:
        curve = Curve(history["loss"], [*history["val_accuracy"][:-1], accuracy])
        scans = options.epochs * len(train_batches) * options.batch
        report(curve, options.plot, scans=scans, seconds=seconds, where=where)


if __name__ == "__main__":
    main()

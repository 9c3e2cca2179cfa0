"""Train a digit classifier in a custom TensorFlow loop, as scripts for smdistributed.dataparallel.tensorflow do it.

Run it alone, or on several ranks:

    python examples/04_tensorflow_tape_digits.py
    smddprun -np 4 python examples/04_tensorflow_tape_digits.py
    torchrun --nproc-per-node 4 examples/04_tensorflow_tape_digits.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import smddp
import smdistributed.dataparallel.tensorflow as sdp

Scans = tuple[np.ndarray, np.ndarray]  # float32 images (N, 8, 8, 1) in [0, 1] and int64 labels (N,)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training scans")
    parser.add_argument("--batch", type=int, default=64, help="scans per step, over all ranks")
    parser.add_argument("--lr", type=float, default=8e-3, help="learning rate at the beginning, falling to zero")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, split and shuffling")
    return parser.parse_args()


def split_scans(seed: int) -> tuple[Scans, Scans]:
    """scikit-learn's 1,797 scanned digits, 80 % to train and 20 % to test; the same on every rank."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[..., np.newaxis]
    train, test = train_test_split(range(len(images)), test_size=0.2, stratify=digits.target, random_state=seed)
    return (images[train], digits.target[train]), (images[test], digits.target[test])


def own_batches(scans: Scans, batch: int, generator: np.random.Generator) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """This rank's part of each global batch of one epoch; equally many on all ranks."""
    images, labels = scans
    order = generator.permutation(len(labels))
    for start in range(0, len(order) - batch + 1, batch):
        rows = order[start : start + batch][sdp.rank() :: sdp.size()]
        yield tf.constant(images[rows]), tf.constant(labels[rows])


def make_model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(96, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def main() -> None:
    options = parse_options()
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the ranks share the cores

    sdp.init()
    rank, world = sdp.rank(), sdp.size()
    keras.utils.set_random_seed(options.seed + rank)  # the ranks start with different weights, until rank 0's are sent
    train_scans, (test_images, test_labels) = split_scans(options.seed)
    generator = np.random.default_rng(options.seed)

    model = make_model()
    steps = options.epochs * (len(train_scans[1]) // options.batch)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(options.lr, steps))
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

    started = time.perf_counter()
    progress = tqdm(total=steps, unit="step", mininterval=0.5, disable=rank != 0)
    for epoch in range(options.epochs):
        for step, (images, labels) in enumerate(own_batches(train_scans, options.batch, generator)):
            loss = training_step(images, labels, epoch == 0 and step == 0)
            progress.update()
        progress.set_postfix(loss=f"{float(loss):.4f}", refresh=False)
    progress.close()
    seconds = time.perf_counter() - started

    # Each rank tests its part of the scans.
    right = tf.argmax(model(test_images[rank::world]), axis=1) == test_labels[rank::world]
    accuracy = sdp.allreduce(tf.math.count_nonzero(right), op=sdp.ReduceOp.SUM) / len(test_labels)
    where = f"{world} {'rank' if world == 1 else 'ranks'}, {smddp.get_communicator().transport}"
    sdp.shutdown()
    if rank == 0:
        print(f"throughput {steps * options.batch / seconds:.0f} samples/s")
        print(f"test accuracy {float(accuracy):.4f}, {where}, {seconds:.0f} s")


if __name__ == "__main__":
    main()

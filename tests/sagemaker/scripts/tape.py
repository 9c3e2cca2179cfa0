"""A TensorFlow script as users of the older module have it: train with the tape, and report the weights."""

from __future__ import annotations

import hashlib

from reporting import place, write_report

given = place()

import tensorflow as tf  # noqa: E402

import smdistributed.dataparallel.tensorflow as sdp  # noqa: E402

STEPS = 20


def main() -> None:
    sdp.init()
    rank, world = sdp.rank(), sdp.size()
    tf.random.set_seed(rank)  # the tape has to make the weights equal, and the batches have to differ
    weights = tf.Variable(tf.random.normal([16, 1]))
    losses = [float(train_step(weights, first=step == 0)) for step in range(STEPS)]
    mean_loss = sdp.oob_allreduce(tf.constant(losses[-1]))
    digest = hashlib.sha256(weights.numpy().tobytes()).hexdigest()
    fell = losses[-1] < losses[0]
    write_report(rank, given=given, world=world, weights=digest, fell=fell, loss=float(mean_loss))


def train_step(weights: tf.Variable, first: bool) -> tf.Tensor:
    batch = tf.random.normal([8, 16])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((batch @ weights - tf.reduce_sum(batch, 1, keepdims=True)) ** 2)
    tape = sdp.DistributedGradientTape(tape)
    weights.assign_sub(0.05 * tape.gradient(loss, weights))
    if first:
        sdp.broadcast_variables([weights], root_rank=0)
    return loss


if __name__ == "__main__":
    main()

"""What TensorFlow does with graphs must not part the ranks: it folds, prunes, nests, and runs loops in parallel."""

from __future__ import annotations

import tensorflow as tf
from integration.tensorflow.cases.common import Peers

import smddp.tensorflow as sdp


def late(tensor: tf.Tensor, products: int = 3) -> tf.Tensor:
    """The tensor, some work later."""
    work = tf.eye(150)
    for _ in range(products):
        work = tf.matmul(work, work)
    return work[0, 0] * tensor


def constants_of_one_rank(peers: Peers) -> None:
    """The op runs each time, also where its tensor is a constant."""

    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        return sdp.allreduce(tf.constant([6.0]) if peers.rank == 0 else x)

    for value in (0.0, 1.0, 2.0):
        expected = (6 + value * (peers.size - 1)) / peers.size
        assert abs(float(step(tf.constant([value]))[0]) - expected) < 1e-6


def results_that_one_rank_uses(peers: Peers) -> None:
    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        total = sdp.allreduce(x, op=sdp.ReduceOp.SUM)
        return total if peers.rank == 0 else x

    for _ in range(3):
        assert float(step(tf.constant(1.0))) == (peers.size if peers.rank == 0 else 1)


def functions_called_twice(peers: Peers) -> None:
    """Each rank has the tensors of the two calls in another order; keys of both are equal."""

    @tf.function
    def average(x: tf.Tensor) -> tf.Tensor:
        return sdp.allreduce(x)

    @tf.function
    def step(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first_is_late = peers.rank == 0
        return average(late(x) if first_is_late else x), average(x + 100.0 if first_is_late else late(x + 100.0))

    for _ in range(10):
        assert [float(one) for one in step(tf.constant(1.0))] == [1, 101]


def function_called_alone_before(peers: Peers) -> None:
    """Its key of the call alone is no other op's key in the function that calls it."""

    @tf.function
    def average(x: tf.Tensor) -> tf.Tensor:
        return sdp.allreduce(x)

    assert float(average(tf.constant(7.0))) == 7

    @tf.function
    def step(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if peers.rank == 0:
            return average(late(x)), sdp.allreduce(x + 100.0)
        return average(x), sdp.allreduce(late(x + 100.0))

    for _ in range(10):
        assert [float(one) for one in step(tf.constant(1.0))] == [1, 101]


def loops(peers: Peers) -> None:
    """Iterations that do not depend on each other still meet the same ones of the other ranks."""

    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        results = tf.TensorArray(tf.float32, 6)
        for i in tf.range(6):
            work = tf.eye(100)
            for _ in tf.range(20 * ((i + peers.rank) % 2)):
                work = tf.matmul(work, work)
            results = results.write(i, sdp.allreduce(work[0, 0] * tf.cast(i, tf.float32) * x))
        return results.stack()

    for _ in range(5):
        assert step(tf.constant(1.0)).numpy().tolist() == [0, 1, 2, 3, 4, 5]


def branches(peers: Peers) -> None:
    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        if x > 0.0:
            return sdp.allreduce(x, op=sdp.ReduceOp.SUM)
        return sdp.allreduce(x, op=sdp.ReduceOp.MAX)

    assert float(step(tf.constant(2.0))) == 2 * peers.size
    assert float(step(tf.constant(-2.0))) == -2


def another_trace_on_one_rank(peers: Peers) -> None:
    """Positions count from the beginning in every trace."""

    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        return sdp.oob_allreduce(tf.reduce_mean(x)) + sdp.oob_allreduce(tf.reduce_max(x))

    step(tf.ones([2]))
    assert float(step(tf.ones([3 if peers.rank == 0 else 2]))) == 2


def ops_of_one_function_are_not_ordered(peers: Peers) -> None:
    """TensorFlow starts each as soon as its tensor is there."""

    @tf.function
    def step(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return sdp.allreduce(x), sdp.allreduce(2 * x)

    graph = step.get_concrete_function(tf.constant(1.0)).graph
    ops = [op for op in graph.get_operations() if op.type == "SmddpAllReduce"]
    assert len(ops) == 2
    assert not any(op.control_inputs for op in ops)


def xla(peers: Peers) -> None:
    @tf.function(jit_compile=True)
    def step(x: tf.Tensor) -> tf.Tensor:
        return sdp.allreduce(x)

    try:
        step(tf.constant(1.0))
    except Exception as error:
        assert "SMDDPArgumentError" in str(error)
        assert "set jit_compile=False in tf.function or model.compile" in str(error)
    else:
        raise AssertionError


def sessions(peers: Peers) -> None:
    """Graphs of TensorFlow 1."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [2])
        variable = tf.compat.v1.get_variable("v", initializer=tf.constant([float(peers.rank), 1.0]), use_resource=True)
        total = sdp.allreduce(x * variable, op=sdp.ReduceOp.SUM)
        (gradient,) = tf.gradients(total, [variable])
        start = sdp.broadcast_global_variables(peers.size - 1)
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(start)
        values = session.run([total, gradient], {x: [1.0, 2.0]})
    assert values[0].tolist() == [peers.size * (peers.size - 1), 2 * peers.size]
    assert values[1].tolist() == [peers.size, 2 * peers.size]


def older_training(peers: Peers) -> None:
    """An optimizer, a hook and a session of TensorFlow 1."""
    with tf.Graph().as_default():
        x = tf.compat.v1.placeholder(tf.float32, [2])
        start = tf.constant([float(peers.rank), 1.0])
        variable = tf.compat.v1.get_variable("v", initializer=start, use_resource=True)
        optimizer = sdp.DistributedOptimizer(tf.compat.v1.train.GradientDescentOptimizer(1.0))
        step = optimizer.minimize(tf.reduce_sum(x * variable))
        hook = sdp.BroadcastGlobalVariablesHook(peers.size - 1)
        with tf.compat.v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
            session.run(step, {x: [0.0, float(peers.rank)]})
            assert session.run(variable).tolist() == [peers.size - 1, 1 - (peers.size - 1) / 2]

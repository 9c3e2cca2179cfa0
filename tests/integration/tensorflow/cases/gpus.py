"""TensorFlow with a GPU, which is pretended: the ops on its memory, with the bits that CPU tensors get."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from integration.tensorflow.cases.common import Peers
from tensorflow.python.framework import load_library

import smddp.tensorflow as sdp
from smddp.tensorflow.errors import call
from smddp.tensorflow.library import OPS

from support.cases import run_cases

COUNT = 1000
#: Sessions of TensorFlow 1 place no op elsewhere than they are told, nor its gradient's.
NEED_MORE = ("sessions", "older_training")


def takes_a_gpu() -> str:
    """TensorFlow's name for this rank's GPU: one of its own as long as there are enough."""
    load_library.load_pluggable_device_library(os.environ["FAKE_TENSORFLOW_DEVICE"])
    return f"GPU:{int(os.environ['RANK']) % len(tf.config.list_physical_devices('GPU'))}"


def run(module: str, seed: str, expected_way: str) -> None:
    """The cases of a module of this folder, with smddp's ops on the GPU; the pretended one has few of TensorFlow's."""
    gpu = takes_a_gpu()
    for name in ("all_reduce", "broadcast", "all_gather", "reduce_scatter", "all_to_all"):
        put_on(gpu, f"smddp_{name}")
    tf.config.set_soft_device_placement(False)  # or what has no kernel there would be on the CPU, and nobody told
    with tf.device("CPU:0"):
        sdp.init()
        run_cases(f"integration.tensorflow.cases.{module}", Peers(int(seed)), sdp.barrier, without=NEED_MORE)
        assert_way(expected_way)
        sdp.shutdown()


def assert_way(expected: str) -> None:
    """Of the collectives up to now; "host" goes on with how that reaches the others."""
    way = sdp.transport_name(device="gpu")
    assert way.split("+")[0] == expected, way


def put_on(gpu: str, name: str) -> None:
    """Let the op of that name be there, whoever calls it."""
    op = getattr(OPS, name)

    def op_on_gpu(*tensors: Any, **attributes: Any) -> Any:
        with tf.device(gpu):
            return op(*tensors, **attributes)

    setattr(OPS, name, op_on_gpu)


def stays_there(expected_way: str) -> None:
    """Results are where the tensors were, and collectives went the way they should."""
    if "SMDDP_TENSORFLOW_GPU" not in os.environ:
        tf.test.is_built_with_cuda = lambda: True
    gpu = takes_a_gpu()
    with tf.device(gpu):
        sdp.init()
        own = tf.identity(tf.fill([COUNT], float(sdp.rank() + 1)))
        total = float(sum(range(1, sdp.size() + 1)))
        ops: dict[str, Callable[[], tf.Tensor]] = {
            "all_reduce": lambda: sdp.allreduce(own, op=sdp.ReduceOp.SUM),
            "broadcast": lambda: sdp.broadcast(own, 1),
        }
        expected = {"all_reduce": total, "broadcast": 2.0}
        for name, op in ops.items():
            for run_op in (op, tf.function(op)):
                result = run_op()
                assert result.device.endswith(gpu), f"{name}: {result.device}"
                assert np.all(result.numpy() == expected[name]), name
        assert_way(expected_way)
        sdp.shutdown()


def reduces_for_ever(tensors: str) -> None:
    """So many as one, until a rank is gone."""
    with tf.device(takes_a_gpu()):
        sdp.init()
        own = [tf.identity(tf.ones([COUNT])) for _ in range(int(tensors))]
        for step in itertools.count():
            call(OPS.smddp_all_reduce, own, reduce_op="sum", key="all", names=[])
            print(f"step {step}", flush=True)


def told_when_off() -> None:
    """Where TensorFlow has CUDA and its users want no GPU here."""
    tf.test.is_built_with_cuda = lambda: True
    sdp.init()
    assert sdp.allreduce(tf.ones(3), op=sdp.ReduceOp.SUM).numpy().tolist() == [float(sdp.size())] * 3
    sdp.shutdown()

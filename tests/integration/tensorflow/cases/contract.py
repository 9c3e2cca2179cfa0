"""The original's contract, name by name and call by call, through the original's import path."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

import smdistributed.dataparallel.tensorflow as sdp
import smdistributed.dataparallel.tensorflow.keras as keras_sdp
from smddp.errors import SMDDPArgumentError, SMDDPError, SMDDPStateError
from smdistributed.dataparallel.tensorflow.keras import callbacks

__all__ = ["after_init", "before_init"]

#: Leading parameters by name, in order; what follows is ours.
SIGNATURES: dict[str, tuple[str, ...]] = {
    "init": (),
    "shutdown": (),
    "is_initialized": (),
    "size": (),
    "rank": (),
    "local_size": (),
    "local_rank": (),
    "get_world_size": (),
    "get_rank": (),
    "get_worker_comm": (),
    "allreduce": ("tensor", "param_index", "num_params", "compression", "op", "grad"),
    "oob_allreduce": ("tensor", "compression", "op"),
    "broadcast": ("tensor", "root_rank"),
    "broadcast_variables": ("variables", "root_rank"),
    "broadcast_global_variables": ("root_rank",),
    "overlap": ("tensor",),
    "DistributedGradientTape": (
        "gradtape",
        "device_dense",
        "device_sparse",
        "compression",
        "sparse_as_dense",
        "op",
    ),
    "DistributedOptimizer": (
        "optimizer",
        "name",
        "use_locking",
        "device_dense",
        "device_sparse",
        "compression",
        "sparse_as_dense",
        "op",
        "bucket_cap_mb",
    ),
    "BroadcastGlobalVariablesHook": ("root_rank",),
    "allgather": ("tensor",),
    "reducescatter": ("tensor", "op"),
    "alltoall": ("tensor", "splits"),
    "barrier": (),
    "join": (),
}

#: What `smdistributed.dataparallel.tensorflow.keras` has beside functions that are those above.
CALLBACKS: dict[str, tuple[str, ...]] = {
    "BroadcastGlobalVariablesCallback": ("root_rank", "device"),
    "MetricAverageCallback": ("device",),
    "LearningRateWarmupCallback": (
        "initial_lr",
        "warmup_epochs",
        "momentum_correction",
        "steps_per_epoch",
        "verbose",
    ),
}

#: (call, expected when every rank brings the same)
CALLS: list[tuple[str, Callable[[], Any], Any]] = [
    ("a list of floats", lambda: sdp.allreduce([1.0, 2.0], 0, 1), [1, 2]),
    ("grad", lambda: sdp.allreduce(grad=tf.constant([1.0]), param_index=0, num_params=1), [1]),
    ("no op", lambda: sdp.allreduce(tf.constant([1.0]), 0, 1, sdp.Compression.none, None), [1]),
    ("all of them", lambda: sdp.allreduce(tf.constant([1.0]), 1, 3, sdp.Compression.fp16, sdp.ReduceOp.MAX), [1]),
    ("not a gradient", lambda: sdp.allreduce(tf.constant(4.0), param_index=7, num_params=90), 4),
    ("smallest", lambda: sdp.allreduce(tf.constant([5]), 0, 1, op=sdp.ReduceOp.MIN), [5]),
    ("loss", lambda: sdp.oob_allreduce(tf.constant(2.0)), 2),
    ("metrics in a list", lambda: sdp.oob_allreduce([0.5, 0.25]), [0.5, 0.25]),
    ("by name", lambda: sdp.oob_allreduce(tensor=3.0, compression=sdp.Compression.none, op=sdp.ReduceOp.AVERAGE), 3),
    ("broadcast", lambda: sdp.broadcast(tf.constant([1, 2]), 0), [1, 2]),
    ("broadcast by name", lambda: sdp.broadcast(tensor=[True, False], root_rank=0), [True, False]),
    ("overlap", lambda: sdp.overlap(tf.constant([1.0])), [1]),
    ("aliases", lambda: tf.constant([sdp.Compression.NoneCompression is sdp.Compression.none]), [True]),
    ("more aliases", lambda: tf.constant([sdp.Compression.FP16Compression is sdp.Compression.fp16]), [True]),
    ("operations", lambda: tf.constant([op.name for op in sdp.ReduceOp]), [b"AVERAGE", b"SUM", b"MIN", b"MAX"]),
]

TWICE = "init() called more than once. smdistributed.dataparallel is already initialized."
#: (class, part of the message, call)
REFUSED: list[tuple[type[SMDDPError], str, Callable[[], Any]]] = [
    (SMDDPStateError, TWICE, lambda: sdp.init()),
    (SMDDPArgumentError, "device_dense is not supported", lambda: sdp.DistributedGradientTape(None, "/gpu:0")),
    (SMDDPArgumentError, "device_sparse is not supported", lambda: sdp.DistributedGradientTape(None, "", "/gpu:0")),
    (SMDDPArgumentError, "gradients are averaged", lambda: sdp.DistributedGradientTape(None, op=sdp.ReduceOp.SUM)),
    (SMDDPArgumentError, "device_dense is not supported", lambda: sdp.DistributedOptimizer(None, device_dense="x")),
    (SMDDPArgumentError, "gradients are averaged", lambda: sdp.DistributedOptimizer(None, op=sdp.ReduceOp.MAX)),
    (SMDDPArgumentError, "a multiple of 128 bytes", lambda: sdp.DistributedOptimizer(None, bucket_cap_mb=0.00001)),
    (SMDDPArgumentError, "got NoneType", lambda: sdp.DistributedOptimizer(None)),
    (SMDDPArgumentError, "averages over all ranks already", lambda: twice(keras.optimizers.SGD())),
    (SMDDPArgumentError, "averages over all ranks already", lambda: around(keras.optimizers.SGD())),
    (SMDDPArgumentError, "pass a compression as", lambda: sdp.DistributedOptimizer(None, sdp.Compression.fp16)),
    (SMDDPArgumentError, "expected a rank from 0", lambda: callbacks.BroadcastGlobalVariablesCallback(-1)),
    (SMDDPArgumentError, "op: expected a ReduceOp, got 'sum'", lambda: sdp.allreduce(1.0, op="sum")),
    (SMDDPArgumentError, "dtype int32 has no average", lambda: sdp.oob_allreduce(1)),
    (SMDDPArgumentError, "dtype string is not one of", lambda: sdp.allreduce("text")),
    (SMDDPArgumentError, "takes one tensor", lambda: sdp.allreduce()),
    (SMDDPArgumentError, "takes one tensor", lambda: sdp.allreduce(1.0, grad=1.0)),
    (SMDDPArgumentError, "root_rank: expected a rank from 0 to", lambda: sdp.broadcast(1.0, sdp.size())),
    (SMDDPArgumentError, "root_rank: expected a rank from 0 to", lambda: sdp.broadcast_variables([], "0")),
    (SMDDPArgumentError, "got a scalar", lambda: sdp.allgather(1.0)),
    (SMDDPArgumentError, "got a scalar", lambda: sdp.reducescatter(1.0)),
    (SMDDPArgumentError, "got a scalar", lambda: sdp.alltoall(1.0)),
    (SMDDPArgumentError, "outside of tf.function", lambda: tf.function(sdp.join)()),
    (SMDDPStateError, "use broadcast_variables", lambda: sdp.broadcast_global_variables(0)),
]

#: What needs the other ranks.
NEEDS_INIT: dict[str, Callable[[], Any]] = {
    "size": lambda: sdp.size(),
    "rank": lambda: sdp.rank(),
    "local_size": lambda: sdp.local_size(),
    "local_rank": lambda: sdp.local_rank(),
    "get_world_size": lambda: sdp.get_world_size(),
    "get_rank": lambda: sdp.get_rank(),
    "get_worker_comm": lambda: sdp.get_worker_comm(),
    "allreduce": lambda: sdp.allreduce(1.0, 0, 1),
    "oob_allreduce": lambda: sdp.oob_allreduce(1.0),
    "broadcast": lambda: sdp.broadcast(1.0, 0),
    "broadcast_variables": lambda: sdp.broadcast_variables([], 0),
    "broadcast_global_variables": lambda: sdp.broadcast_global_variables(0),
    "allgather": lambda: sdp.allgather([1.0]),
    "reducescatter": lambda: sdp.reducescatter([1.0]),
    "alltoall": lambda: sdp.alltoall([1.0]),
    "barrier": lambda: sdp.barrier(),
    "join": lambda: sdp.join(),
    "DistributedGradientTape": lambda: sdp.DistributedGradientTape(tf.GradientTape()),
    "DistributedOptimizer": lambda: sdp.DistributedOptimizer(keras.optimizers.SGD()),
    "BroadcastGlobalVariablesHook": lambda: sdp.BroadcastGlobalVariablesHook(0),
    "BroadcastGlobalVariablesCallback": lambda: callbacks.BroadcastGlobalVariablesCallback(0),
    "MetricAverageCallback": lambda: callbacks.MetricAverageCallback(),
    "LearningRateWarmupCallback": lambda: callbacks.LearningRateWarmupCallback(0.1),
}


def twice(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return sdp.DistributedOptimizer(sdp.DistributedOptimizer(optimizer))


def around(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return sdp.DistributedOptimizer(keras.optimizers.LossScaleOptimizer(sdp.DistributedOptimizer(optimizer)))


def refused(call: Callable[[], Any], cls: type[SMDDPError], text: str) -> None:
    try:
        call()
    except SMDDPError as error:
        assert type(error) is cls, f"{error!r} is not {cls}"
        assert text in str(error), f"{text!r} is not in {error}"
        assert str(error).startswith("rank "), str(error)
    else:
        raise AssertionError(text)


def has_signatures(module: ModuleType, signatures: dict[str, tuple[str, ...]]) -> None:
    for name, names in signatures.items():
        found = list(inspect.signature(getattr(module, name)).parameters.values())
        assert tuple(parameter.name for parameter in found[: len(names)]) == names, f"{name}: {found}"
        assert all(parameter.default is not parameter.empty for parameter in found[len(names) :])
    assert set(signatures) <= set(module.__all__)


def before_init() -> None:
    has_signatures(sdp, SIGNATURES)
    has_signatures(callbacks, CALLBACKS)
    for name in ("init", "size", "local_size", "rank", "local_rank", "Compression", "DistributedOptimizer"):
        assert getattr(keras_sdp, name) is getattr(sdp, name)
    assert keras_sdp.callbacks is callbacks
    assert set(keras_sdp.__all__) == {*sdp.__all__, "callbacks"} - {"BroadcastGlobalVariablesHook"}
    assert not sdp.is_initialized()
    for name, call in NEEDS_INIT.items():
        refused(call, SMDDPStateError, f"{name}: smdistributed.dataparallel is not initialized; call init() first")
    sdp.shutdown()


def after_init() -> None:
    assert sdp.init() is None
    # Devices are chosen after init(), by local rank.
    tf.config.threading.set_inter_op_parallelism_threads(2)
    tf.config.set_visible_devices([], "GPU")
    assert sdp.is_initialized()
    assert (sdp.rank(), sdp.size()) == (sdp.get_rank(), sdp.get_world_size())
    assert (sdp.local_rank(), sdp.local_size()) == (sdp.rank(), sdp.size())
    for name, call, expected in CALLS:
        got = call()
        assert got.numpy().tolist() == expected, f"{name}: {got}"
    for cls, text, call in REFUSED:
        refused(call, cls, text)
    refused(lambda: sdp.get_worker_comm(), SMDDPStateError, "start the job with mpirun") if sdp.size() > 1 else None
    again()


def again() -> None:
    """The job may be left and joined again; functions traced before go on."""

    @tf.function
    def total(x: tf.Tensor) -> tf.Tensor:
        return sdp.allreduce(x, op=sdp.ReduceOp.SUM)

    size = sdp.size()
    assert float(total(tf.constant(1.0))) == size
    sdp.shutdown()
    assert not sdp.is_initialized()
    try:
        total(tf.constant(1.0))
    except tf.errors.FailedPreconditionError as error:
        assert "SMDDPStateError" in str(error)
    else:
        raise AssertionError
    sdp.init()
    assert float(total(tf.constant(1.0))) == size
    sdp.shutdown()

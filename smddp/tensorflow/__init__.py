"""TensorFlow: collectives as ops, and gradients that are averaged over all ranks.

::

    import tensorflow as tf
    import smddp.tensorflow as sdp

    sdp.init()
    with tf.GradientTape() as tape:
        loss = ...
    tape = sdp.DistributedGradientTape(tape)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

Works eagerly and in tf.function, where gradients are reduced while the backward pass still runs. Importing this
loads the native ops and touches no device; joining the other ranks happens in `init`.
"""

from __future__ import annotations

import smddp.tensorflow.gradients  # noqa: F401 - the import registers them
from smddp.tensorflow.collectives import (
    ReduceOp,
    allgather,
    allreduce,
    alltoall,
    barrier,
    broadcast,
    join,
    oob_allreduce,
    overlap,
    reducescatter,
)
from smddp.tensorflow.compression import BF16Compression, Compression, FP16Compression, NoneCompression
from smddp.tensorflow.optimizer import BroadcastGlobalVariablesHook, DistributedOptimizer
from smddp.tensorflow.tape import DistributedGradientTape
from smddp.tensorflow.variables import broadcast_global_variables, broadcast_variables
from smddp.tensorflow.world import (
    get_rank,
    get_worker_comm,
    get_world_size,
    init,
    is_initialized,
    local_rank,
    local_size,
    rank,
    shutdown,
    size,
    transport_name,
)

__all__ = [
    "BF16Compression",
    "BroadcastGlobalVariablesHook",
    "Compression",
    "DistributedGradientTape",
    "DistributedOptimizer",
    "FP16Compression",
    "NoneCompression",
    "ReduceOp",
    "allgather",
    "allreduce",
    "alltoall",
    "barrier",
    "broadcast",
    "broadcast_global_variables",
    "broadcast_variables",
    "get_rank",
    "get_worker_comm",
    "get_world_size",
    "init",
    "is_initialized",
    "join",
    "local_rank",
    "local_size",
    "oob_allreduce",
    "overlap",
    "rank",
    "reducescatter",
    "shutdown",
    "size",
    "transport_name",
]

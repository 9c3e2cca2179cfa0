"""`smddp.tensorflow` as scripts for `model.fit` import it, and the callbacks for them.

::

    import smddp.tensorflow.keras as sdp

    sdp.init()
    model.compile(sdp.DistributedOptimizer(keras.optimizers.SGD(0.1 * sdp.size())), loss, jit_compile=False)
    model.fit(own_part_of_the_data, callbacks=[sdp.callbacks.BroadcastGlobalVariablesCallback(0)])
"""

from __future__ import annotations

from smddp.tensorflow import (
    BF16Compression,
    Compression,
    DistributedGradientTape,
    DistributedOptimizer,
    FP16Compression,
    NoneCompression,
    ReduceOp,
    allgather,
    allreduce,
    alltoall,
    barrier,
    broadcast,
    broadcast_global_variables,
    broadcast_variables,
    get_rank,
    get_worker_comm,
    get_world_size,
    init,
    is_initialized,
    join,
    local_rank,
    local_size,
    oob_allreduce,
    overlap,
    rank,
    reducescatter,
    shutdown,
    size,
)
from smddp.tensorflow.keras import callbacks

__all__ = [
    "BF16Compression",
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
    "callbacks",
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
]

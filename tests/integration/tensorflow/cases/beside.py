"""Both frameworks in one process, imported in either order, and each without the other."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def both(first: str) -> None:
    """Each framework's collectives, in turns, in one process."""
    if first == "tensorflow":
        import smddp.tensorflow as sdp
        import smddp.torch
    else:
        import smddp.tensorflow as sdp
        import smddp.torch  # noqa: F401 - registers the backend
    import tensorflow as tf
    import torch
    import torch.distributed as dist

    dist.init_process_group("smddp")
    sdp.init()
    rank, size = dist.get_rank(), dist.get_world_size()
    assert (sdp.rank(), sdp.size()) == (rank, size)
    total = size * (size + 1) / 2
    for step in range(5):
        ours = torch.full((100 + step,), rank + 1.0)
        dist.all_reduce(ours)
        theirs = sdp.allreduce(tf.fill([70 + step], rank + 1.0), op=sdp.ReduceOp.SUM)
        assert ours.eq(total).all()
        assert (theirs.numpy() == total).all()
    sdp.shutdown()
    dist.destroy_process_group()


def alone(framework: str, other: str) -> None:
    """One framework, where the other is not installed."""
    modules: dict[str, Any] = sys.modules
    modules[other] = None  # what an import of it meets is an ImportError
    adapter = importlib.import_module(f"smddp.{framework}")
    if framework == "tensorflow":
        import tensorflow as tf

        adapter.init()
        assert (adapter.allreduce(tf.fill([10], adapter.rank() + 1.0)).numpy() == (1 + adapter.size()) / 2).all()
        adapter.shutdown()
        return
    import torch
    import torch.distributed as dist

    dist.init_process_group("smddp")
    tensor = torch.full((10,), dist.get_rank() + 1.0)
    dist.all_reduce(tensor)
    assert tensor.eq(3.0).all()
    dist.destroy_process_group()

"""Several tensors in one call, and the operations that torch composes of them."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from integration.torch.cases.collectives import block
from integration.torch.cases.common import Peers, assert_bits

#: Elements of the tensors of one call; none, few, and several chunks.
COUNTS = (0, 5, 130, 5003)


def all_gathers(peers: Peers) -> None:
    """The outputs are lists by rank; every list has the inputs' shapes."""
    inputs = [peers.own("float32", 6).view(2, 3), *(peers.own("float32", count) for count in COUNTS)]
    outputs = [[torch.empty_like(tensor) for tensor in inputs] for _ in range(peers.size)]
    future = dist.all_gather_coalesced(outputs, inputs, async_op=True)
    assert future is not None
    nested = future.wait()
    assert len(nested) == (peers.size if peers.size > 1 else len(inputs))
    for rank, tensors in enumerate(outputs):
        for tensor, source in zip(tensors, inputs, strict=True):
            assert_bits(tensor, peers.brought("float32", source.numel(), rank), "all_gather_coalesced")


def into_tensors(peers: Peers) -> None:
    """Every tensor may have a dtype of its own."""
    dtypes = ("float32", "int8", "bfloat16", "float64")
    for async_ops in (False, True):
        inputs = [peers.own(dtype, count) for dtype, count in zip(dtypes, COUNTS, strict=True)]
        outputs = [torch.empty(peers.size * source.numel(), dtype=source.dtype) for source in inputs]
        with dist._coalescing_manager(async_ops=async_ops) as manager:
            for output, source in zip(outputs, inputs, strict=True):
                dist.all_gather_into_tensor(output, source)
        if async_ops:
            manager.wait()
        for output, dtype, count in zip(outputs, dtypes, COUNTS, strict=True):
            assert_bits(output, np.concatenate(peers.all(dtype, count)), f"all_gather {dtype}")

        wholes = [peers.own(dtype, count * peers.size) for dtype, count in zip(dtypes, COUNTS, strict=True)]
        parts = [torch.empty(count, dtype=whole.dtype) for whole, count in zip(wholes, COUNTS, strict=True)]
        with dist._coalescing_manager(async_ops=async_ops) as manager:
            for part, whole in zip(parts, wholes, strict=True):
                dist.reduce_scatter_tensor(part, whole)
        if async_ops:
            manager.wait()
        for part, dtype, count in zip(parts, dtypes, COUNTS, strict=True):
            expected = block(peers.reduced(dtype, "sum", count * peers.size), peers)
            assert_bits(part, expected, f"reduce_scatter {dtype}")


def all_reduces(peers: Peers) -> None:
    tensors = [peers.own("float32", count) for count in COUNTS]
    with dist._coalescing_manager():
        for tensor in tensors:
            dist.all_reduce(tensor)
    for tensor, count in zip(tensors, COUNTS, strict=True):
        assert_bits(tensor, peers.reduced("float32", "sum", count), "all_reduce")

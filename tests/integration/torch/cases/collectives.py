"""Collectives of torch.distributed on backend smddp against the oracle, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed as dist
from integration.torch.cases.common import OPS, Peers, assert_bits, assert_over, to_tensor

from support.oracle import DTYPES, MOVED_ONLY, Array, is_defined

#: The last one takes many chunks (see conftest.py).
COUNTS = (0, 1, 37, 1000, 10_007)
MOVED = ("float32", "bfloat16", "uint8", "bool", "uint64")


def kinds() -> Iterator[tuple[int, str, str]]:
    """Every dtype with every operation that it has, numbered."""
    pairs = [(dtype, op) for dtype in DTYPES for op in OPS if is_defined(op, dtype)]
    for number, (dtype, op) in enumerate(pairs):
        yield number, dtype, op


def finish(work: dist.Work | None, async_op: bool) -> None:
    assert (work is not None) == async_op
    if work is not None:
        assert work.wait()
        assert_over(work)


def block(array: Array, peers: Peers, rank: int | None = None) -> Array:
    """Part number `rank` (default: this rank's) of an array cut among all."""
    count = len(array) // peers.size
    start = (peers.rank if rank is None else rank) * count
    return array[start : start + count]


def reductions(peers: Peers) -> None:
    for number, dtype, op in kinds():
        all_reduce(peers, dtype, op, 37, number % 2 == 0)
        reduce(peers, dtype, op, 37, number % 2 == 1, root=number % peers.size)
        reduce_scatter(peers, dtype, op, 37, number % 2 == 0)
    for count in COUNTS:
        for async_op in (False, True):
            for dtype in ("float32", "bfloat16", "int8"):
                all_reduce(peers, dtype, "average", count, async_op)
                reduce(peers, dtype, "sum", count, async_op, root=peers.size - 1)
                reduce_scatter(peers, dtype, "sum", count, async_op)


def all_reduce(peers: Peers, dtype: str, op: str, count: int, async_op: bool) -> None:
    tensor = peers.own(dtype, count)
    finish(dist.all_reduce(tensor, OPS[op], async_op=async_op), async_op)
    assert_bits(tensor, peers.reduced(dtype, op, count), f"all_reduce {dtype} {op} {count}")


def reduce(peers: Peers, dtype: str, op: str, count: int, async_op: bool, root: int) -> None:
    tensor = peers.own(dtype, count)
    finish(dist.reduce(tensor, root, OPS[op], async_op=async_op), async_op)
    if peers.rank == root:
        assert_bits(tensor, peers.reduced(dtype, op, count), f"reduce {dtype} {op} {count}")


def reduce_scatter(peers: Peers, dtype: str, op: str, count: int, async_op: bool) -> None:
    total = count * peers.size
    expected = block(peers.reduced(dtype, op, total), peers)
    output = torch.empty(count, dtype=peers.own(dtype, 0).dtype)
    finish(dist.reduce_scatter_tensor(output, peers.own(dtype, total), OPS[op], async_op=async_op), async_op)
    assert_bits(output, expected, f"reduce_scatter_tensor {dtype} {op} {count}")

    output = torch.empty_like(output)
    parts = list(peers.own(dtype, total).chunk(peers.size)) if count else [output] * peers.size
    finish(dist.reduce_scatter(output, parts, OPS[op], async_op=async_op), async_op)
    assert_bits(output, expected, f"reduce_scatter {dtype} {op} {count}")


def moves(peers: Peers) -> None:
    for count in COUNTS:
        for async_op in (False, True):
            for dtype in MOVED:
                broadcast(peers, dtype, count, async_op)
                all_gather(peers, dtype, count, async_op)
                all_to_all(peers, dtype, count, async_op)
                all_to_all_lists(peers, dtype, count, async_op)
                rooted(peers, dtype, count, async_op)
            finish(dist.barrier(async_op=async_op), async_op)


def types(peers: Peers) -> None:
    """Every dtype is moved as it is."""
    for number, dtype in enumerate((*DTYPES, *MOVED_ONLY)):
        async_op = number % 2 == 0
        broadcast(peers, dtype, 37, async_op)
        all_gather(peers, dtype, 37, async_op)
        all_to_all(peers, dtype, 37, async_op)
        all_to_all_lists(peers, dtype, 37, async_op)
        rooted(peers, dtype, 37, async_op)


def rooted(peers: Peers, dtype: str, count: int, async_op: bool) -> None:
    """Gather to, and scatter from, every rank."""
    own = peers.own(dtype, count)
    for root in range(peers.size):
        at_root = peers.rank == root
        listed = [torch.empty_like(own) for _ in range(peers.size)] if at_root else None
        finish(dist.gather(own, listed, root, async_op=async_op), async_op)
        for tensor, array in zip(listed or [], peers.all(dtype, count) if at_root else [], strict=True):
            assert_bits(tensor, array, f"gather {dtype} {count} to {root}")

        output = torch.empty_like(own)
        parts = split(peers.own(dtype, count * peers.size), peers.size) if at_root else None
        finish(dist.scatter(output, parts, root, async_op=async_op), async_op)
        expected = block(peers.brought(dtype, count * peers.size, root), peers)
        assert_bits(output, expected, f"scatter {dtype} {count} from {root}")


def split(tensor: torch.Tensor, ranks: int) -> list[torch.Tensor]:
    """Equal parts, also of nothing."""
    return list(tensor.view(ranks, -1).unbind()) if tensor.numel() else [tensor] * ranks


def all_to_all_lists(peers: Peers, dtype: str, count: int, async_op: bool) -> None:
    """Tensor r goes to rank r; the farther away it is, the longer."""
    counts = [[count + (sender + 2 * receiver) % 3 for receiver in range(peers.size)] for sender in range(peers.size)]
    sources = [peers.own(dtype, sum(counts[peers.rank]))]
    parts = list(sources[0].split(counts[peers.rank]))
    outputs = [torch.empty(row[peers.rank], dtype=sources[0].dtype) for row in counts]
    finish(dist.all_to_all(outputs, parts, async_op=async_op), async_op)
    for sender, (output, row) in enumerate(zip(outputs, counts, strict=True)):
        sent = peers.brought(dtype, sum(row), sender)
        begin = sum(row[: peers.rank])
        assert_bits(output, sent[begin : begin + row[peers.rank]], f"all_to_all {dtype} {count}")


def broadcast(peers: Peers, dtype: str, count: int, async_op: bool) -> None:
    for root in range(peers.size):
        tensor = peers.own(dtype, count)
        finish(dist.broadcast(tensor, root, async_op=async_op), async_op)
        assert_bits(tensor, peers.brought(dtype, count, root), f"broadcast {dtype} {count} from {root}")


def all_gather(peers: Peers, dtype: str, count: int, async_op: bool) -> None:
    own = peers.own(dtype, count)
    expected = peers.all(dtype, count)
    whole = torch.empty(count * peers.size, dtype=own.dtype)
    finish(dist.all_gather_into_tensor(whole, own, async_op=async_op), async_op)
    assert_bits(whole, np.concatenate(expected), f"all_gather_into_tensor {dtype} {count}")

    listed = [torch.empty_like(own) for _ in range(peers.size)]
    finish(dist.all_gather(listed, own, async_op=async_op), async_op)
    for tensor, array in zip(listed, expected, strict=True):
        assert_bits(tensor, array, f"all_gather {dtype} {count}")


def all_to_all(peers: Peers, dtype: str, count: int, async_op: bool) -> None:
    total = count * peers.size
    output = torch.empty(total, dtype=peers.own(dtype, 0).dtype)
    finish(dist.all_to_all_single(output, peers.own(dtype, total), async_op=async_op), async_op)
    expected = np.concatenate([block(sent, peers) for sent in peers.all(dtype, total)])
    assert_bits(output, expected, f"all_to_all_single {dtype} {count}")


def uneven(peers: Peers) -> None:
    """Parts of different sizes, some of them empty."""
    counts = [0 if rank == 1 else 5 * rank + 3 for rank in range(peers.size)]
    mine = counts[peers.rank]
    arrays = [peers.brought("float32", count, rank) for rank, count in enumerate(counts)]

    listed = [torch.empty(count) for count in counts]
    dist.all_gather(listed, to_tensor("float32", arrays[peers.rank]))
    for tensor, array in zip(listed, arrays, strict=True):
        assert_bits(tensor, array, "all_gather")

    output = torch.empty(mine)
    dist.reduce_scatter(output, list(peers.own("float32", sum(counts)).split(counts)))
    start = sum(counts[: peers.rank])
    assert_bits(output, peers.reduced("float32", "sum", sum(counts))[start : start + mine], "reduce_scatter")

    # Row r of the matrix is what rank r sends to each; rows of the tensor have three elements.
    matrix = [[(sender + 2 * receiver) % 4 for receiver in range(peers.size)] for sender in range(peers.size)]
    received = [row[peers.rank] for row in matrix]
    source = peers.own("float32", 3 * sum(matrix[peers.rank])).view(-1, 3)
    exchanged = torch.empty(sum(received), 3)
    dist.all_to_all_single(exchanged, source, received, matrix[peers.rank])
    expected = []
    for sender, row in enumerate(matrix):
        sent = peers.brought("float32", 3 * sum(row), sender)
        begin = 3 * sum(row[: peers.rank])
        expected.append(sent[begin : begin + 3 * row[peers.rank]])
    assert_bits(exchanged, np.concatenate(expected), "all_to_all_single")


def layouts(peers: Peers) -> None:
    """Shapes, strides and storage offsets; results arrive where the caller's tensors are."""
    expected = torch.from_numpy(peers.reduced("float32", "sum", 210))

    columns_first = peers.own("float32", 210).view(7, 30).t()  # dense, not contiguous
    dist.all_reduce(columns_first)
    assert torch.equal(columns_first, expected.view(7, 30).t())

    images = peers.own("float32", 210).view(2, 7, 5, 3).permute(0, 3, 1, 2)  # channels last
    dist.all_reduce(images)
    assert torch.equal(images, expected.view(2, 7, 5, 3).permute(0, 3, 1, 2))

    storage = torch.full((220,), 7.0)
    inner = storage[5:215]
    inner.copy_(peers.own("float32", 210))
    dist.all_reduce(inner)
    assert torch.equal(inner, expected)
    assert torch.equal(storage[:5], torch.full((5,), 7.0))
    assert torch.equal(storage[215:], torch.full((5,), 7.0))

    scalar = peers.own("float32", 1).squeeze(0)
    dist.all_reduce(scalar)
    assert_bits(scalar, peers.reduced("float32", "sum", 1))

    strided = [torch.zeros(10, 2)[:, 0] for _ in range(peers.size)]  # outputs with holes
    dist.all_gather(strided, peers.own("float32", 20).view(10, 2)[:, 1])
    for rank, tensor in enumerate(strided):
        assert torch.equal(tensor, torch.from_numpy(peers.brought("float32", 20, rank)).view(10, 2)[:, 1])

    several = [peers.own("float32", count) for count in (3, 0, 50)]
    dist.all_reduce_coalesced(several)
    for tensor, count in zip(several, (3, 0, 50), strict=True):
        assert_bits(tensor, peers.reduced("float32", "sum", count), "all_reduce_coalesced")

    parameter = torch.nn.Parameter(peers.own("float32", 10))
    with torch.no_grad():
        dist.all_reduce(parameter)
    assert_bits(parameter, peers.reduced("float32", "sum", 10), "a leaf that requires grad")


def objects(peers: Peers) -> None:
    """Collectives of pickled objects, which torch builds from tensor collectives."""
    for root in range(peers.size):
        items: list[object] = [{"from": peers.rank}, None, "x" * (peers.rank + 1)]
        dist.broadcast_object_list(items, root)
        assert items == [{"from": root}, None, "x" * (root + 1)]
        everything: list[object] | None = [None] * peers.size if peers.rank == root else None
        dist.gather_object({"rank": peers.rank, "text": "z" * 500 * peers.rank}, everything, root)
        if everything is not None:
            assert everything == [{"rank": rank, "text": "z" * 500 * rank} for rank in range(peers.size)]
        received: list[object] = [None]
        dist.scatter_object_list(received, [f"{root} to {rank}" for rank in range(peers.size)], root)
        assert received == [f"{root} to {peers.rank}"]
    gathered: list[object] = [None] * peers.size
    dist.all_gather_object(gathered, {"rank": peers.rank, "text": "y" * 1000 * peers.rank})
    assert gathered == [{"rank": rank, "text": "y" * 1000 * rank} for rank in range(peers.size)]

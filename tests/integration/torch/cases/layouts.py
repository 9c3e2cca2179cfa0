"""Tensors that do not lie in memory element after element, and tensors without elements, in every collective."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers

ROWS, COLUMNS = 4, 6

#: Same elements, other places in memory: every second column, transposed, from right to left of a wider one.
LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "strided": lambda tensor: torch.stack([tensor, tensor + 99], dim=2)[:, :, 0],
    "transposed": lambda tensor: tensor.t().contiguous().t(),
    "inner": lambda tensor: torch.nn.functional.pad(tensor, (1, 2, 3, 4), value=99.0)[3:-4, 1:-2],
}


def values(rank: int, columns: int = COLUMNS) -> torch.Tensor:
    """Whole numbers, different on every rank and in every place."""
    return torch.arange(float(ROWS * columns)).view(ROWS, columns) + 1000 * (rank + 1)


def in_place(peers: Peers) -> None:
    ranks = range(peers.size)
    root = peers.size - 1
    for layout in LAYOUTS.values():
        tensor = layout(values(peers.rank))
        dist.all_reduce(tensor)
        assert torch.equal(tensor, torch.stack([values(rank) for rank in ranks]).sum(0))

        tensor = layout(values(peers.rank))
        dist.broadcast(tensor, root)
        assert torch.equal(tensor, values(root))

        tensor = layout(values(peers.rank))
        work = dist.reduce(tensor, root, async_op=True)
        assert work is not None
        work.wait()
        expected = torch.stack([values(rank) for rank in ranks]).sum(0) if peers.rank == root else values(peers.rank)
        assert torch.equal(tensor, expected)


def gaps_keep_what_they_hold(peers: Peers) -> None:
    storage = torch.full((ROWS, COLUMNS, 2), 7.0)
    view = storage[:, :, 1]
    view.copy_(values(peers.rank))
    dist.all_reduce(view, dist.ReduceOp.MAX)
    assert torch.equal(view, values(peers.size - 1))
    assert torch.equal(storage[:, :, 0], torch.full((ROWS, COLUMNS), 7.0))


def blocks(peers: Peers) -> None:
    """Rows are blocks; inputs and outputs have layouts of their own."""
    size, rank = peers.size, peers.rank
    for first, second in (("strided", "transposed"), ("inner", "strided"), ("transposed", "inner")):
        into, out_of = LAYOUTS[first], LAYOUTS[second]
        whole = into(torch.zeros(size * ROWS, COLUMNS))
        dist.all_gather_into_tensor(whole, out_of(values(rank)))
        assert torch.equal(whole, torch.cat([values(other) for other in range(size)]))

        part = into(torch.zeros(ROWS, COLUMNS))
        source = out_of(torch.cat([values(rank) * (block + 1) for block in range(size)]))
        dist.reduce_scatter_tensor(part, source)
        assert torch.equal(part, sum((values(other) for other in range(size)), torch.zeros(1)) * (rank + 1))

        part = into(torch.zeros(ROWS, COLUMNS))
        dist.reduce_scatter(part, [out_of(values(rank) * (block + 1)) for block in range(size)])
        assert torch.equal(part, sum((values(other) for other in range(size)), torch.zeros(1)) * (rank + 1))

        exchanged = into(torch.zeros(size * ROWS, COLUMNS))
        dist.all_to_all_single(exchanged, source)
        assert torch.equal(exchanged, torch.cat([values(other) * (rank + 1) for other in range(size)]))


def lists(peers: Peers) -> None:
    size, rank = peers.size, peers.rank
    into, out_of = LAYOUTS["strided"], LAYOUTS["transposed"]
    outputs = [into(torch.zeros(ROWS, COLUMNS)) for _ in range(size)]
    sources = [out_of(values(rank) * (other + 1)) for other in range(size)]
    dist.all_to_all(outputs, sources)
    for other, output in enumerate(outputs):
        assert torch.equal(output, values(other) * (rank + 1))
    dist.gather(sources[0], outputs if rank == 0 else None, 0)
    if rank == 0:
        for other, output in enumerate(outputs):
            assert torch.equal(output, values(other))
    single = into(torch.zeros(ROWS, COLUMNS))
    dist.scatter(single, sources if rank == 0 else None, 0)
    assert torch.equal(single, values(0) * (rank + 1))


def conjugated(peers: Peers) -> None:
    """Views that conjugate or negate when they are read."""
    number = torch.complex(values(peers.rank), values(peers.rank) + 0.5)
    gathered = torch.zeros(peers.size * ROWS, COLUMNS, dtype=torch.complex64)
    group = dist.group.WORLD
    assert group is not None
    # Below torch's Python layer, which turns complex numbers into real ones.
    group._allgather_base(gathered, number.conj()).wait()
    expected = [torch.complex(values(rank), -values(rank) - 0.5) for rank in range(peers.size)]
    assert torch.equal(gathered, torch.cat(expected))
    shown = number.conj() if peers.rank == 0 else torch.zeros(ROWS, COLUMNS, dtype=torch.complex64)
    group.broadcast(shown, 0).wait()
    assert torch.equal(shown, expected[0])


def nothing(peers: Peers) -> None:
    """Tensors without elements, of several shapes."""
    size, rank = peers.size, peers.rank
    for shape in ((0,), (3, 0), (0, 4)):
        tensor = torch.empty(shape)
        dist.all_reduce(tensor)
        dist.broadcast(tensor, 0)
        dist.reduce(tensor, 0)
        dist.all_gather([torch.empty(shape) for _ in range(size)], tensor)
        dist.all_gather_into_tensor(torch.empty(size * shape[0], *shape[1:]), tensor)
        dist.reduce_scatter_tensor(tensor, torch.empty(size * shape[0], *shape[1:]))
        dist.reduce_scatter(tensor, [torch.empty(shape) for _ in range(size)])
        dist.all_to_all([torch.empty(shape) for _ in range(size)], [tensor] * size)
        dist.gather(tensor, [torch.empty(shape) for _ in range(size)] if rank == 0 else None, 0)
        dist.scatter(tensor, [torch.empty(shape) for _ in range(size)] if rank == 0 else None, 0)
        dist.all_reduce_coalesced([tensor, torch.empty(shape)])
    dist.all_to_all_single(torch.empty(0), torch.empty(0))

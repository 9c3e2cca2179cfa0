"""torch's functional collectives, called as they are and in compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from integration.torch.cases.common import Peers

ROWS = 6


def own(rank: int, ranks: int) -> torch.Tensor:
    """What a rank brings: whole numbers, a multiple of the world in rows."""
    return torch.arange(float(ROWS * ranks * 3)).view(-1, 3) + 1000 * (rank + 1)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    wrapped: Callable[..., Any] = torch.compile(function, backend="aot_eager", fullgraph=True)
    return wrapped


def everything(tensor: torch.Tensor, group: dist.ProcessGroup, size: int) -> list[torch.Tensor]:
    """One of each."""
    uneven = [tensor.shape[0] // size] * size
    return [
        functional.all_reduce(tensor, "sum", group),
        functional.all_reduce(tensor, "avg", group),
        functional.all_gather_tensor(tensor, 0, group),
        functional.all_gather_tensor(tensor, 1, group),
        functional.reduce_scatter_tensor(tensor, "sum", 0, group),
        functional.all_to_all_single(tensor, uneven, uneven, group),
        functional.broadcast(tensor, size - 1, group),
        *functional.all_reduce_coalesced([tensor, tensor * 2], "max", group),
        *functional.all_gather_into_tensor_coalesced([tensor, tensor[:2]], group),
        *functional.reduce_scatter_tensor_coalesced([tensor, tensor * 3], "sum", [0, 0], group),
    ]


def expected(rank: int, size: int) -> list[torch.Tensor]:
    """The same by hand."""
    all_own = [own(other, size) for other in range(size)]
    total = torch.stack(all_own).sum(0)
    mine = slice(rank * ROWS, (rank + 1) * ROWS)
    return [
        total,
        total / size,
        torch.cat(all_own),
        torch.cat(all_own, 1),
        total[mine],
        torch.cat([tensor[mine] for tensor in all_own]),
        all_own[-1],
        all_own[-1],
        all_own[-1] * 2,
        torch.cat(all_own),
        torch.cat([tensor[:2] for tensor in all_own]),
        total[mine],
        3 * total[mine],
    ]


def plain_and_compiled(peers: Peers) -> None:
    group = dist.group.WORLD
    assert group is not None
    wanted = expected(peers.rank, peers.size)
    for function in (everything, compiled(everything)):
        got = function(own(peers.rank, peers.size), group, peers.size)
        assert len(got) == len(wanted)
        for number, (tensor, result) in enumerate(zip(got, wanted, strict=True)):
            torch.testing.assert_close(tensor + 0, result, msg=lambda text, number=number: f"{number}: {text}")


def dist_calls_in_a_compiled_function(peers: Peers) -> None:
    def step(tensor: torch.Tensor) -> torch.Tensor:
        dist.all_reduce(tensor)
        return tensor * 2

    result = compiled(step)(own(peers.rank, peers.size))
    torch.testing.assert_close(result, expected(peers.rank, peers.size)[0] * 2)


def complex_numbers(peers: Peers) -> None:
    group = dist.group.WORLD
    assert group is not None
    number = torch.complex(own(peers.rank, peers.size), -own(peers.rank, peers.size))
    total = expected(peers.rank, peers.size)[0]
    torch.testing.assert_close(functional.all_reduce(number, "sum", group) + 0, torch.complex(total, -total))

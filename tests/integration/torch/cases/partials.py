"""16-bit floats under SMDDP_PARTIALS=fp32 on four ranks: the bits of one host, wherever the ranks are."""

from __future__ import annotations

import torch
import torch.distributed as dist
from integration.torch.cases.common import OPS, Peers, assert_bits, to_array
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from support.oracle import Array, reduced

ROWS, FEATURES = 8, 48
COUNT = 10_007


def on_one_host(dtype: str, op: str, brought: list[Array]) -> Array:
    return reduced(dtype, op, brought, (tuple(range(len(brought))),))


def tensors(peers: Peers) -> None:
    """Through torch.distributed, at once and asynchronously."""
    for dtype in ("float16", "bfloat16"):
        for name in ("sum", "average", "product", "max"):
            whole = on_one_host(dtype, name, peers.all(dtype, COUNT * peers.size))
            tensor = peers.own(dtype, COUNT * peers.size)
            work = dist.all_reduce(tensor, OPS[name], async_op=name == "average")
            if work is not None:
                work.wait()
            assert_bits(tensor, whole, name)
            block = torch.empty(COUNT, dtype=tensor.dtype)
            dist.reduce_scatter_tensor(block, peers.own(dtype, COUNT * peers.size), OPS[name])
            assert_bits(block, whole[peers.rank * COUNT : (peers.rank + 1) * COUNT], name)


def gradients_of(model: nn.Module, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model(torch.randn(ROWS, FEATURES, generator=generator).bfloat16()).float().square().mean().backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def ddp(peers: Peers) -> None:
    """Gradients of a model in bfloat16: their average, rounded once. By 4, which is exact, torch divides before."""
    assert peers.size == 4

    def model() -> nn.Module:
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanh(), nn.Linear(FEATURES, 1)).bfloat16()

    got = gradients_of(DistributedDataParallel(model(), bucket_cap_mb=0.001), peers.seed % 1000 + peers.rank)
    brought = [gradients_of(model(), peers.seed % 1000 + rank) for rank in range(peers.size)]
    for number, gradient in enumerate(got):
        arrays = [to_array(each[number]) for each in brought]
        assert_bits(gradient, on_one_host("bfloat16", "average", arrays), f"gradient {number}")

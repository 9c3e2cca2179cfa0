"""Reductions beyond plain sums of real numbers: complex numbers, scaled sums, sparse tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
import torch.distributed as dist
from integration.torch.cases.collectives import block
from integration.torch.cases.common import Peers, to_tensor

import smddp.torch
from smddp.errors import SMDDPArgumentError, SMDDPMismatchError

COUNT = 37


def world() -> dist.ProcessGroup:
    assert dist.group.WORLD is not None
    return dist.group.WORLD


def complex_of(peers: Peers, count: int) -> torch.Tensor:
    """What this rank brings, two real numbers each."""
    return peers.own("float32", 2 * count).view(torch.complex64)


def complex_numbers(peers: Peers) -> None:
    """Sums and averages, through torch's Python layer and below it."""
    for op, name in ((dist.ReduceOp.SUM, "sum"), (dist.ReduceOp.AVG, "average")):
        expected = to_tensor("float32", peers.reduced("float32", name, 2 * COUNT)).view(torch.complex64)
        tensor = complex_of(peers, COUNT)
        dist.all_reduce(tensor, op)
        assert torch.equal(tensor, expected)
        tensor = complex_of(peers, COUNT)
        options = dist.AllreduceOptions()
        options.reduceOp = op
        world().allreduce([tensor], options).wait()
        assert torch.equal(tensor, expected)
        tensor = complex_of(peers, COUNT)
        dist.reduce(tensor, 0, op)
        if peers.rank == 0:
            assert torch.equal(tensor, expected)

    whole = peers.reduced("float32", "sum", 2 * COUNT * peers.size)
    expected = to_tensor("float32", block(whole, peers)).view(torch.complex64)
    for call in (
        lambda output, source: dist.reduce_scatter_tensor(output, source),
        lambda output, source: dist.reduce_scatter(output, list(source.chunk(peers.size))),
        lambda output, source: world()._reduce_scatter_base(output, source).wait(),
        lambda output, source: world().reduce_scatter([output], [list(source.chunk(peers.size))]).wait(),
    ):
        output = torch.empty(COUNT, dtype=torch.complex64)
        call(output, complex_of(peers, COUNT * peers.size))
        assert torch.equal(output, expected)

    tensor = complex_of(peers, COUNT)
    dist.all_reduce_coalesced([tensor])
    assert torch.equal(tensor, to_tensor("float32", peers.reduced("float32", "sum", 2 * COUNT)).view(torch.complex64))


def refused(call: Callable[[], object], text: str) -> None:
    """The call fails at once, here alone, and the group goes on."""
    try:
        call()
    except SMDDPArgumentError as error:
        assert text in str(error), error
    else:
        msg = f"no error that says {text}"
        raise AssertionError(msg)


ADDED_BY_GPUS = ("float8_e4m3fn", "float8_e5m2")


def gpus_add() -> bool:
    """Whether sums are made on GPUs: host memory has none of 8-bit floats."""
    dist.all_reduce(torch.ones(1))
    return torch.get_default_device().type != "cpu" and smddp.torch.transport_name(device="cuda") in ("nccl", "ipc")


def eight_bit_floats(peers: Peers) -> None:
    if not gpus_add():
        return
    for name in ADDED_BY_GPUS:
        tensor = torch.full((COUNT,), 0.25 * (peers.rank + 1)).to(getattr(torch, name))
        dist.all_reduce(tensor)
        assert torch.equal(tensor.float().cpu(), torch.full((COUNT,), 0.125 * peers.size * (peers.size + 1)).cpu())


def what_cannot_be_computed(peers: Peers) -> None:
    options = dist.AllreduceOptions()
    options.reduceOp = dist.ReduceOp.PRODUCT
    refused(
        lambda: world().allreduce([complex_of(peers, 3)], options).wait(),
        "all_reduce: op product is not defined on complex64",
    )
    nowhere = ("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
    for name in nowhere if gpus_add() else (*ADDED_BY_GPUS, *nowhere):
        small = peers.own(name, 3)
        refused(lambda small=small: world().allreduce([small]).wait(), f"all_reduce: op sum is not defined on {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch wants to forget them
        quantized = torch.quantize_per_tensor(torch.ones(3, device="cpu"), 0.1, 2, torch.qint8)
    # torch's dispatcher refuses them before they get to a backend.
    backend = world()._get_backend(torch.device("cpu"))
    refused(lambda: backend.allreduce([quantized]), "SMDDP does not support: quantized tensors")
    shared = torch.zeros(1).expand(4)
    refused(lambda: dist.all_reduce(shared), "all_reduce: several elements of the output share one place in memory")
    refused(
        lambda: dist.all_reduce(torch.ones(3, dtype=torch.int32), dist._make_nccl_premul_sum(2.0)),
        "ReduceOp.PREMUL_SUM needs floating-point tensors",
    )


def scaled(peers: Peers) -> None:
    """PREMUL_SUM: every rank's factor is its own."""
    factor = 0.5 * (peers.rank + 1)
    arrays = [torch.from_numpy(peers.brought("float64", COUNT, rank)) for rank in range(peers.size)]
    expected = torch.stack([array * 0.5 * (rank + 1) for rank, array in enumerate(arrays)]).sum(0)
    for given in (factor, torch.tensor([factor], dtype=torch.float64)):
        op = dist._make_nccl_premul_sum(given)
        own = peers.own("float64", COUNT)
        tensor = own.clone()
        dist.all_reduce(tensor, op)
        torch.testing.assert_close(tensor.cpu(), expected)
        tensor = own.clone()
        dist.reduce(tensor, 0, op)
        torch.testing.assert_close(tensor.cpu(), expected if peers.rank == 0 else own.cpu())
        output = torch.empty(COUNT, dtype=torch.float64)
        dist.reduce_scatter_tensor(output, own.repeat(peers.size), op)
        torch.testing.assert_close(output.cpu(), expected)
        dist.reduce_scatter(output.zero_(), [own] * peers.size, op)
        torch.testing.assert_close(output.cpu(), expected)
        half = own.to(torch.bfloat16)
        dist.all_reduce(half, op)
        torch.testing.assert_close(half.cpu(), expected.to(torch.bfloat16), rtol=0.05, atol=0.1)


def sparse(peers: Peers) -> None:
    """Entries in different places, some in the same, some ranks with none, and dense dimensions."""
    rank, size = peers.rank, peers.size
    if torch.get_default_device().type == "fakegpu":
        return  # has no sparse tensors
    with torch.sparse.check_sparse_tensor_invariants():
        for entries, dense in ((range(size), ()), ([4] * size, (2, 3)), ([0] * size, ())):
            tensors = [sparse_of(peers, other, entries[other], dense) for other in range(size)]
            expected = sum((tensor.to_dense() for tensor in tensors), torch.zeros(1))
            for async_op in (False, True):
                tensor = tensors[rank].clone()
                work = dist.all_reduce(tensor, async_op=async_op)
                if work is not None:
                    assert work.wait()
                    assert work.get_future().wait()[0].is_coalesced()
                assert tensor.is_coalesced()
                torch.testing.assert_close(tensor.to_dense(), expected)
            gathered = [torch.empty_like(expected) for _ in range(size)]
            dist.all_gather(gathered, tensor.to_dense())
            assert all(torch.equal(other, gathered[0]) for other in gathered), "ranks differ"

        refused(lambda: dist.all_reduce(tensors[rank], dist.ReduceOp.MAX), "sparse tensors can be summed only")
        if size == 1:
            return
        other_shape = torch.sparse_coo_tensor([[0]], [1.0], (5 + (rank == 1),))
        try:
            dist.all_reduce(other_shape)
        except SMDDPMismatchError as error:
            assert "[5]" in str(error), error
            assert "rank 1 one of shape [6]" in str(error), error
        else:
            msg = "shapes differ without an error"
            raise AssertionError(msg)


def sparse_of(peers: Peers, rank: int, entries: int, dense: tuple[int, ...]) -> torch.Tensor:
    """The tensor of a rank, not coalesced: 7 x 5, and the dense dimensions."""
    generator = torch.Generator().manual_seed(peers.seed % 2**31 + rank)
    places = torch.stack([torch.randint(high, (entries,), generator=generator) for high in (7, 5)])
    values = torch.randn((entries, *dense), generator=generator)
    return torch.sparse_coo_tensor(places, values, (7, 5, *dense))

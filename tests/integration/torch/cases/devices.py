"""What tensors of a GPU do that those of the CPU do not, on any GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers, assert_bits, join
from integration.torch.cases.hooks import keep_busy
from torch.nn.parallel import DistributedDataParallel

import smddp.torch
from smddp.torch.ddp import DistributedDataParallel as OlderDistributedDataParallel

COUNT = 1000
#: What a real GPU has to do before the collective, so that a rank dies with both of them queued.
BUSY_SECONDS = 0.5


def whole(peers: Peers, value: float, count: int = COUNT) -> torch.Tensor:
    """A tensor of this rank's."""
    return torch.full((count,), value * (peers.rank + 1))


def total(peers: Peers, value: float) -> float:
    """The sum of what `whole` gives all ranks."""
    return value * peers.size * (peers.size + 1) / 2


def all_the_same(tensor: torch.Tensor, value: float) -> None:
    assert torch.equal(tensor.cpu(), torch.full(tensor.shape, value, device="cpu")), f"{tensor.cpu()} is not {value}"


def both_devices_in_one_group(peers: Peers) -> None:
    for number in range(20):
        there = peers.own("int32", 100 + number)
        here = there.cpu()
        works = [dist.all_reduce(here, async_op=True), dist.all_reduce(there, async_op=True)]
        for work in works:
            work.wait()
        expected = peers.reduced("int32", "sum", 100 + number)
        assert_bits(here, expected)
        assert_bits(there, expected)


def goes_the_way_that_is_tested(peers: Peers) -> None:
    dist.all_reduce(whole(peers, 1.0))
    way = smddp.torch.transport_name(device="cuda")
    assert way == os.environ.get("EXPECTED_WAY", way)


def messages(peers: Peers) -> None:
    if peers.size == 1:
        return
    left, right = (peers.rank - 1) % peers.size, (peers.rank + 1) % peers.size
    outgoing, incoming = whole(peers, 3.0), torch.zeros(COUNT)
    operations = [dist.P2POp(dist.isend, outgoing, right), dist.P2POp(dist.irecv, incoming, left)]
    for work in dist.batch_isend_irecv(operations):
        work.wait()
    all_the_same(incoming, 3.0 * (left + 1))
    second = torch.zeros(COUNT)
    works = [dist.isend(whole(peers, 4.0), right, tag=4), dist.isend(whole(peers, 5.0), right, tag=5)]
    assert dist.recv(second, tag=5) == left if peers.size == 2 else dist.recv(second, left, tag=5) == left
    all_the_same(second, 5.0 * (left + 1))
    dist.recv(second, left, tag=4)
    all_the_same(second, 4.0 * (left + 1))
    for work in works:
        work.wait()


def rings_with_receives_first(peers: Peers) -> None:
    """A receive that was posted holds up neither the send behind it nor a collective."""
    if peers.size == 1:
        return
    left, right = (peers.rank - 1) % peers.size, (peers.rank + 1) % peers.size
    incoming, tensor = torch.zeros(COUNT), whole(peers, 1.0)
    receive = dist.irecv(incoming, left)
    reduced = dist.all_reduce(tensor, async_op=True)
    send = dist.isend(whole(peers, 2.0), right)
    for work in (receive, reduced, send):
        assert work is not None
        work.wait()
    all_the_same(incoming, 2.0 * (left + 1))
    all_the_same(tensor, total(peers, 1.0))
    operations = [dist.P2POp(dist.irecv, incoming, left), dist.P2POp(dist.isend, whole(peers, 3.0), right)]
    for work in dist.batch_isend_irecv(operations):
        work.wait()
    all_the_same(incoming, 3.0 * (left + 1))


def messages_of_both_devices_keep_their_order(peers: Peers) -> None:
    if peers.size == 1 or peers.rank > 1:
        return
    there, here = torch.full((COUNT,), 1.0), torch.full((COUNT,), 2.0, device="cpu")
    if peers.rank == 0:
        works = [dist.isend(there, 1), dist.isend(here, 1)]
        for work in works:
            assert work is not None
            work.wait()
    else:
        dist.recv(there.zero_(), 0)
        dist.recv(here.zero_(), 0)
        all_the_same(there, 1.0)
        all_the_same(here, 2.0)


def bitwise_operations(peers: Peers) -> None:
    """NCCL has none."""
    for op in ("and", "or", "xor"):
        tensor = peers.own("int32", 300)
        dist.all_reduce(tensor, getattr(dist.ReduceOp, f"B{op.upper()}"))
        assert_bits(tensor, peers.reduced("int32", op, 300))


def data_parallel(peers: Peers) -> None:
    """Models learn the same as on the CPU, and all ranks have the same bits."""
    for wrap in (DistributedDataParallel, OlderDistributedDataParallel):
        learnt = [trained(peers, device, wrap) for device in (torch.device("cpu"), torch.get_default_device())]
        torch.testing.assert_close(learnt[1].cpu(), learnt[0], rtol=1e-5, atol=1e-6)
        every = [torch.empty_like(learnt[1]) for _ in range(peers.size)]
        dist.all_gather(every, learnt[1])
        for other in every:
            assert torch.equal(other, learnt[1])


def trained(peers: Peers, device: torch.device, wrap: Callable[..., torch.nn.Module]) -> torch.Tensor:
    torch.manual_seed(7)
    layers = [torch.nn.Linear(20, 50, device="cpu"), torch.nn.ReLU(), torch.nn.Linear(50, 3, device="cpu")]
    model = torch.nn.Sequential(*layers).to(device)
    replica = wrap(model, bucket_cap_mb=0.002)
    optimizer = torch.optim.SGD(replica.parameters(), lr=0.1)
    generator = torch.Generator(device="cpu").manual_seed(100 + peers.rank)
    for _ in range(5):
        inputs = torch.randn(8, 20, generator=generator, device="cpu").to(device)
        loss = replica(inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def dies_with_work_queued(device: str) -> None:
    """A rank is killed by the test while all have work on their streams; the others learn who it was."""
    peers = join(device=device)
    tensor = whole(peers, 1.0)
    dist.all_reduce(tensor)
    torch.accelerator.synchronize()
    keep_busy(BUSY_SECONDS)
    dist.all_reduce(tensor)
    print("ready", flush=True)
    if peers.rank == 1:
        time.sleep(60)
    begun = time.monotonic()
    while time.monotonic() - begun < 30:
        torch.accelerator.synchronize()
        dist.all_reduce(tensor)

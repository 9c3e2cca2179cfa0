"""Tensors of a GPU: the order of streams, and what else torch's NCCL backend promises."""

from __future__ import annotations

import copy
import multiprocessing
import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers, choose_device, join
from integration.torch.cases.devices import COUNT, all_the_same, total, whole
from integration.torch.cases.hooks import captured_on, current, held, on, released_later
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import smddp.torch
from smddp.errors import SMDDPError


def way() -> str:
    """By what collectives go."""
    return os.environ["SMDDP_GPU_COLLECTIVES"]


def meets_on_demand(peers: Peers) -> None:
    assert smddp.torch.transport_name(device="cuda") == "unconnected"
    dist.all_reduce(whole(peers, 1.0))
    torch.accelerator.synchronize()
    name = smddp.torch.transport_name(device="cuda")
    kind = "none" if peers.size == 1 else "host+" if way() == "host" else way()
    assert name.startswith(kind), name


def calls_return_before_the_stream_does_anything(peers: Peers) -> None:
    tensor, second = whole(peers, 2.0), whole(peers, 3.0)
    with held(current()):
        dist.all_reduce(tensor)
        work = dist.all_reduce(second, async_op=True)
        assert not work.is_completed()
        assert work.wait()
        assert not work.is_completed()
    all_the_same(tensor, total(peers, 2.0))
    all_the_same(second, total(peers, 3.0))
    assert work.is_completed()


def operations_see_what_the_stream_did_before(peers: Peers) -> None:
    source, tensor = whole(peers, 5.0), whole(peers, -1.0)
    with held(current()):
        tensor.copy_(source)
        work = dist.all_reduce(tensor, async_op=True)
        work.wait()
        copy = tensor.clone()
    all_the_same(copy, total(peers, 5.0))


def other_streams_wait_for_themselves(peers: Peers) -> None:
    side = torch.Stream(device=tensor_device())
    tensor = whole(peers, 4.0)
    work = dist.all_reduce(tensor, async_op=True)
    with on(side):
        work.wait()
        copy = tensor.clone()
    side.synchronize()
    all_the_same(copy, total(peers, 4.0))
    dist.all_reduce(tensor)  # on the current stream, and then waited for on another
    synchronous = dist.all_reduce(tensor, async_op=True)
    with on(side):
        synchronous.wait()
        copy = tensor.clone()
    side.synchronize()
    all_the_same(copy, total(peers, 4.0) * peers.size**2)


def tensor_device() -> torch.device:
    return torch.get_default_device()


def futures_carry_the_stream(peers: Peers) -> None:
    tensor = whole(peers, 6.0)
    with held(current()):
        future = dist.all_reduce(tensor, async_op=True).get_future()
        doubled = future.then(lambda done: done.value()[0].clone())
        assert future.done()
    all_the_same(doubled.wait(), total(peers, 6.0))


def inputs_live_until_the_stream_is_through(peers: Peers) -> None:
    output = torch.empty(COUNT * peers.size)
    with held(current()):
        work = dist.all_gather_into_tensor(output, whole(peers, 7.0), async_op=True)
        for _ in range(10):
            whole(peers, -9.0)
        work.wait()
    for rank, block in enumerate(output.chunk(peers.size)):
        all_the_same(block, 7.0 * (rank + 1))


def waiting_with_a_limit(peers: Peers) -> None:
    tensor = whole(peers, 1.0)
    with held(current()):
        work = dist.all_reduce(tensor, async_op=True)
        try:
            work.wait(timedelta(milliseconds=50))
        except SMDDPError as error:
            assert "it goes on" in str(error)
        else:
            raise AssertionError("waited for what is held")
    assert work.wait(timedelta(seconds=20))
    all_the_same(tensor, total(peers, 1.0))


def a_barrier_waits_for_the_gpu(peers: Peers) -> None:
    if peers.rank == 0:
        tensor = whole(peers, 1.0)
        copy = tensor.clone()
        dist.barrier()
        assert current().query()
        all_the_same(copy, 1.0)
    else:
        dist.barrier()


def several_tensors_in_one_call(peers: Peers) -> None:
    """They see what the stream did before, all of them."""
    group = dist.group.WORLD
    assert group is not None
    sources, inputs = [whole(peers, 2.0), whole(peers, 3.0)], [whole(peers, -1.0), whole(peers, -1.0)]
    outputs = [torch.zeros(COUNT * peers.size) for _ in inputs]
    with held(current()):
        for source, tensor in zip(sources, inputs, strict=True):
            tensor.copy_(source)
        group.allgather_into_tensor_coalesced(outputs, inputs).wait()
    for value, output in zip((2.0, 3.0), outputs, strict=True):
        for rank, block in enumerate(output.chunk(peers.size)):
            all_the_same(block, value * (rank + 1))


def completed_means_that_the_outputs_are_there(peers: Peers) -> None:
    for _ in range(30):
        outputs = [torch.zeros(COUNT) for _ in range(peers.size)]
        work = dist.all_gather(outputs, whole(peers, 4.0), async_op=True)
        while not work.is_completed():
            time.sleep(0.0001)
        seen = torch.stack(outputs).cpu()
        assert torch.equal(seen[:, 0], torch.arange(1.0, peers.size + 1, device="cpu") * 4.0), seen


def captured(peers: Peers) -> None:
    if way() != "nccl" and peers.size > 1:
        return
    side = torch.Stream(device=tensor_device())
    tensor = whole(peers, 1.0)
    torch.accelerator.synchronize()
    with captured_on(side) as replay:
        dist.all_reduce(tensor)
        work = dist.all_reduce(tensor, async_op=True)
        work.wait()
    for times in (1, 2):
        replay()
        side.synchronize()
        all_the_same(tensor, total(peers, 1.0) * peers.size ** (2 * times - 1))


def wrong_devices(peers: Peers) -> None:
    own, count = torch.get_default_device(), torch.accelerator.device_count()
    if count > 1:
        other = torch.device(own.type, (own.index + 1) % count)
        refused(lambda: dist.all_reduce(torch.ones(3, device=other)), "a rank has one GPU")
    lists = [torch.ones(3, device="cpu") for _ in range(peers.size)]
    refused(lambda: dist.all_gather(lists, torch.ones(3)), "must be on one device")
    blocks = torch.ones(3 * peers.size)
    refused(lambda: dist.all_gather_into_tensor(blocks, torch.ones(3, device="cpu")), "must be on one device")
    dist.all_reduce(torch.ones(3))


def refused(call: Callable[[], object], why: str) -> None:
    try:
        call()
    except SMDDPError as error:
        assert why in str(error), error
    else:
        raise AssertionError(f"not refused: {why}")


def eager(seed: str, device: str) -> None:
    """With a device from the start: ranks meet at once, groups are split, and FSDP2 trains on a mesh."""
    choose_device(device)
    dist.init_process_group("smddp", device_id=torch.get_default_device())
    peers = Peers(int(seed))
    if way() != "host":
        assert smddp.torch.transport_name(device="cuda") == way()
    members = [rank for rank in range(peers.size) if rank != 1]
    part = dist.split_group(split_ranks=[members, [1]])
    assert part is not None
    tensor = whole(peers, 1.0)
    dist.all_reduce(tensor, group=part)
    all_the_same(tensor, 2.0 if peers.rank == 1 else sum(rank + 1.0 for rank in members))
    on_cpu = torch.ones(3, device="cpu")
    dist.all_reduce(on_cpu, group=part)
    assert on_cpu.tolist() == [1.0 if peers.rank == 1 else len(members)] * 3

    mesh = init_device_mesh(device, (peers.size,))
    torch.manual_seed(5)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    alone = copy.deepcopy(model)
    fully_shard(model, mesh=mesh)
    inputs = torch.arange(64.0).reshape(4, 16) / 64
    for net in (model, alone):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        net(inputs).square().mean().backward()
        optimizer.step()
    for sharded, parameter in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(sharded.full_tensor(), parameter)
    dist.destroy_process_group()


def leaves_with_a_gpu_behind(seed: str, device: str) -> None:
    """Destroying a group waits for the GPU, also where that takes longer than the grace, and loses no message."""
    os.environ["SMDDP_LEAVE_GRACE"] = "0.2"
    peers = join(seed, device)
    tensor, message = whole(peers, 1.0), torch.full((COUNT,), 5.0)
    dist.all_reduce(torch.ones(1))
    releases = released_later(current(), 1.0)
    work = dist.all_reduce(tensor, async_op=True)
    received = torch.zeros(COUNT)
    if peers.rank == 0:
        dist.isend(message, 1)
    elif peers.rank == 1:
        dist.recv(received, 0)
    dist.destroy_process_group()
    releases.join()
    assert work is not None
    work.wait()
    all_the_same(tensor, total(peers, 1.0))
    if peers.rank == 1:
        all_the_same(received, 5.0)


def forked_children(seed: str, device: str) -> None:
    """A child made by fork() is told so, and ends without touching the GPU, whose driver's locks may be held there."""
    peers = join(seed, device)
    tensor = whole(peers, 1.0)
    dist.all_reduce(tensor)

    def in_child() -> None:
        refused(lambda: dist.all_reduce(tensor), "forked")
        dist.destroy_process_group()

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    dist.all_reduce(tensor)
    all_the_same(tensor, total(peers, 1.0) * peers.size)
    dist.destroy_process_group()


def captures_after_the_end(seed: str, device: str) -> None:
    peers = join(seed, device)
    group = dist.group.WORLD
    tensor = whole(peers, 1.0)
    dist.all_reduce(tensor)
    assert group is not None
    backend = group._get_backend(tensor.device)
    backend.shutdown()
    with captured_on(torch.Stream(device=tensor.device)):
        refused(lambda: dist.all_reduce(tensor), "has left")
    dist.destroy_process_group()

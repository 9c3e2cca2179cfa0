"""torch's own DistributedDataParallel, unmodified."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

ROWS, FEATURES = 6, 16
#: So small that even these models have several buckets.
BUCKET_MB = 0.001

Batch = tuple[torch.Tensor, torch.Tensor]
Gradients = list[torch.Tensor]


class Branches(nn.Module):
    """One of two branches, chosen by the caller; the third is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.even, self.odd, self.never = (nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.head = nn.Linear(FEATURES, 1)

    def forward(self, x: torch.Tensor, even: bool) -> torch.Tensor:
        return self.head(torch.tanh(self.even(x) if even else self.odd(x)))


class Reused(nn.Module):
    """A layer that is used twice in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(torch.tanh(self.layer(x))))


def deep() -> nn.Module:
    layers = [layer for _ in range(4) for layer in (nn.Linear(FEATURES, FEATURES), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(FEATURES, 1))


def made(make: Callable[[], nn.Module]) -> nn.Module:
    """The model with the same initial weights on every rank, in float64."""
    torch.manual_seed(5)
    return make().double()


def batch(peers: Peers, rank: int, step: int) -> Batch:
    generator = torch.Generator().manual_seed(1000 * (peers.seed % 1000) + 100 * step + rank)
    return (
        torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64),
        torch.randn(ROWS, 1, generator=generator, dtype=torch.float64),
    )


def loss_of(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(output, target)


def averaged(peers: Peers, gradients_of: Callable[[int], Gradients]) -> Gradients:
    """The mean over ranks of what each would compute, computed here without communication."""
    parts = [gradients_of(rank) for rank in range(peers.size)]
    return [torch.stack(each).mean(dim=0) for each in zip(*parts, strict=True)]


def gradients(model: nn.Module) -> Gradients:
    """Of all parameters; zeros for those that took no part."""
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]


def close(got: Gradients, expected: Gradients, tolerance: float = 1e-12) -> None:
    for number, (a, b) in enumerate(zip(got, expected, strict=True)):
        torch.testing.assert_close(
            a, b, rtol=tolerance, atol=tolerance, msg=lambda text, n=number: f"parameter {n}: {text}"
        )


def agree(peers: Peers, tensors: Gradients) -> None:
    """All ranks have the same bits."""
    mine = torch.cat([tensor.reshape(-1) for tensor in tensors])
    everyone = [torch.empty_like(mine) for _ in range(peers.size)]
    dist.all_gather(everyone, mine)
    assert all(torch.equal(mine, other) for other in everyone)


def local_gradients(model: nn.Module, peers: Peers, rank: int, steps: range) -> Gradients:
    plain = copy.deepcopy(model)
    plain.zero_grad()
    for step in steps:
        x, y = batch(peers, rank, step)
        loss_of(plain(x), y).backward()
    return gradients(plain)


def options(peers: Peers) -> None:
    """Three steps with every combination of what changes the reducer's path."""
    for view in (False, True):
        for static in (False, True):
            model = made(Reused)
            wrapped = DistributedDataParallel(
                model, bucket_cap_mb=BUCKET_MB, gradient_as_bucket_view=view, static_graph=static
            )
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
            for step in range(3):
                here = range(step, step + 1)
                expected = averaged(peers, lambda rank, m=model, s=here: local_gradients(m, peers, rank, s))
                optimizer.zero_grad()
                x, y = batch(peers, peers.rank, step)
                loss_of(wrapped(x), y).backward()
                close(gradients(model), expected)
                optimizer.step()
            agree(peers, [parameter.detach() for parameter in model.parameters()])


def registered_buckets(peers: Peers) -> None:
    """Buckets lie in memory that the host's other ranks can reach, and so do gradients that point into them."""
    addresses: list[int] = []
    model = made(deep)
    wrapped = DistributedDataParallel(model, bucket_cap_mb=BUCKET_MB, gradient_as_bucket_view=True)
    wrapped.register_comm_hook(addresses, _noting_hook)
    for step in range(2):  # buckets are made anew after the first
        x, y = batch(peers, peers.rank, step)
        loss_of(wrapped(x), y).backward()
    addresses += [parameter.grad.data_ptr() for parameter in model.parameters()]
    files = [file_at(address) for address in addresses]
    assert len(files) > 8
    if torch.accelerator.current_accelerator() is not None:
        return  # then the user decides
    assert all(name.startswith("/memfd:smddp") for name in files), files


def forked_child(peers: Peers) -> None:
    """What a child does to its copy of the gradients does not reach its parent's."""
    model = made(deep)
    wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True)
    x, y = batch(peers, peers.rank, 0)
    loss_of(wrapped(x), y).backward()
    before = gradients(model)
    child = os.fork()
    if child == 0:
        same = all(torch.equal(a, b) for a, b in zip(gradients(model), before, strict=True))
        model.zero_grad(set_to_none=False)
        os._exit(0 if same and all(not gradient.any() for gradient in gradients(model)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    close(gradients(model), before, 0)


def file_at(address: int) -> str:
    """Name of the file that is mapped there."""
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        places, *_, name = line.split(maxsplit=5)
        begin, end = (int(place, 16) for place in places.split("-"))
        if begin <= address < end:
            return name
    return ""


def initial_weights(peers: Peers) -> None:
    """Ranks begin with the weights and buffers of rank 0."""
    torch.manual_seed(peers.rank)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[1].running_mean.fill_(peers.rank + 1.0)
    wrapped = DistributedDataParallel(model)
    agree(peers, [tensor.double() for tensor in model.state_dict().values()])
    assert torch.equal(model[1].running_mean, torch.ones(4))
    model[1].running_mean.fill_(peers.rank + 5.0)
    wrapped(torch.randn(8, 4))  # each forward broadcasts the buffers of rank 0 first
    model[1].eval()
    assert peers.rank == 0 or float(model[1].running_mean.min()) < peers.rank + 4.0


def no_sync(peers: Peers) -> None:
    for view in (False, True):
        model = made(deep)
        wrapped = DistributedDataParallel(model, bucket_cap_mb=BUCKET_MB, gradient_as_bucket_view=view)
        with wrapped.no_sync():
            for step in (0, 1):
                x, y = batch(peers, peers.rank, step)
                loss_of(wrapped(x), y).backward()
        close(gradients(model), local_gradients(model, peers, peers.rank, range(2)))
        x, y = batch(peers, peers.rank, 2)
        loss_of(wrapped(x), y).backward()
        close(gradients(model), averaged(peers, lambda rank, m=model: local_gradients(m, peers, rank, range(3))))


def unused_parameters(peers: Peers) -> None:
    """Ranks take different branches."""
    model = made(Branches)
    wrapped = DistributedDataParallel(model, find_unused_parameters=True, bucket_cap_mb=BUCKET_MB)

    def local(rank: int, step: int) -> Gradients:
        plain = copy.deepcopy(model)
        plain.zero_grad()
        x, y = batch(peers, rank, step)
        loss_of(plain(x, (rank + step) % 2 == 0), y).backward()
        return gradients(plain)

    for step in range(3):
        expected = averaged(peers, lambda rank, s=step: local(rank, s))
        model.zero_grad()
        x, y = batch(peers, peers.rank, step)
        loss_of(wrapped(x, (peers.rank + step) % 2 == 0), y).backward()
        close(gradients(model), expected)
        assert all(parameter.grad is None for parameter in model.never.parameters())


def hooks(peers: Peers) -> None:
    for hook, tolerance in (
        (default_hooks.allreduce_hook, 1e-12),
        (default_hooks.fp16_compress_hook, 2e-3),
        (_bfloat16_hook, 2e-2),
        (_future_hook, 1e-12),
    ):
        model = made(deep)
        wrapped = DistributedDataParallel(model, bucket_cap_mb=BUCKET_MB)
        wrapped.register_comm_hook(None, hook)
        for step in range(2):
            model.zero_grad()
            here = range(step, step + 1)
            expected = averaged(peers, lambda rank, m=model, s=here: local_gradients(m, peers, rank, s))
            x, y = batch(peers, peers.rank, step)
            loss_of(wrapped(x), y).backward()
            close(gradients(model), expected, tolerance)
            agree(peers, gradients(model))


# Without annotations: register_comm_hook looks at them, and does not understand them as text.
def _bfloat16_hook(group, bucket):
    """torch's own, under a name for which DDP does not demand CUDA."""
    return default_hooks.bf16_compress_hook(group, bucket)


def _noting_hook(addresses, bucket):
    addresses.append(bucket.buffer().data_ptr())
    return default_hooks.allreduce_hook(None, bucket)


def _future_hook(_, bucket):
    """A user's hook: an average through a chain of futures."""
    work = dist.all_reduce(bucket.buffer(), dist.ReduceOp.AVG, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def uneven_inputs(peers: Peers) -> None:
    """torch's Join: ranks with fewer batches shadow the others' collectives."""
    model = made(deep)
    wrapped = DistributedDataParallel(model, bucket_cap_mb=BUCKET_MB)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with wrapped.join():
        for step in range(2 + peers.rank):
            optimizer.zero_grad()
            x, y = batch(peers, peers.rank, step)
            loss_of(wrapped(x), y).backward()
            optimizer.step()
    agree(peers, [parameter.detach() for parameter in model.parameters()])


def subgroup(peers: Peers) -> None:
    """A model trained by some of the ranks only."""
    members = sorted({0, peers.size - 1})
    group = dist.new_group(members)
    if peers.rank in members:
        model = made(deep)
        wrapped = DistributedDataParallel(model, process_group=group)
        x, y = batch(peers, peers.rank, 0)
        loss_of(wrapped(x), y).backward()
        parts = [local_gradients(model, peers, rank, range(1)) for rank in members]
        close(gradients(model), [torch.stack(each).mean(dim=0) for each in zip(*parts, strict=True)])


def checkpoint(peers: Peers) -> None:
    """State saved on rank 0 and spread as an object."""
    model = made(deep)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(peers.rank)
    box: list[object] = [None]
    if peers.rank == 0:
        saved = io.BytesIO()
        torch.save(model.state_dict(), saved)
        box[0] = saved.getvalue()
    dist.broadcast_object_list(box, 0)
    assert isinstance(box[0], bytes)
    model.load_state_dict(torch.load(io.BytesIO(box[0])))
    agree(peers, [parameter.detach() for parameter in model.parameters()])

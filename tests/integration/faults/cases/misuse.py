"""Wrong calls: an error at once, on the caller only, and the group works on."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from integration.faults.cases.common import join_numpy, join_torch, say

import smddp
from smddp.errors import SMDDPArgumentError, SMDDPError, SMDDPStateError


def expect(kind: type[SMDDPError], call: Callable[[], object], *words: str) -> None:
    """The call raises this kind of error, quickly, with these words in the message."""
    begun = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - begun < 2
    assert caught.type.__name__ == kind.__name__
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text, text


def torch_arguments() -> None:
    """Every rank passes something wrong at another moment."""
    import torch
    import torch.distributed as dist

    warnings.simplefilter("ignore", FutureWarning)  # torch renames some of these functions
    join_torch(20)
    rank, size = dist.get_rank(), dist.get_world_size()
    assert dist.group.WORLD is not None
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))
    three = torch.ones(3)
    wrong: list[tuple[Callable[[], object], tuple[str, ...]]] = [
        # torch answers for "meta" tensors itself; this is how a tensor of another device arrives.
        (lambda: backend.allreduce([torch.ones(3, device="meta")]), ("all_reduce", "meta")),
        (lambda: dist.all_reduce(torch.eye(3).to_sparse(), dist.ReduceOp.MAX), ("all_reduce", "sparse")),
        (lambda: dist.all_reduce(torch.ones(1).expand(4)), ("all_reduce", "share one place", ".clone()")),
        (lambda: dist.broadcast(torch.ones(1).expand(4), 0), ("broadcast", "share one place", ".clone()")),
        (lambda: dist.all_reduce(torch.ones(3, dtype=torch.float8_e5m2)), ("all_reduce", "sum", "float8_e5m2")),
        (lambda: dist.broadcast(torch.empty(3, dtype=torch.bits8), 0), ("broadcast", "Bits8")),
        (lambda: dist.all_reduce(torch.ones(3), dist.ReduceOp.BAND), ("all_reduce", "and", "float32")),
        (lambda: dist.all_gather([three] * (size - 1), three), ("all_gather", "one tensor per rank")),
        (lambda: dist.reduce_scatter(three, [three] * (size + 1)), ("reduce_scatter", "one tensor per rank")),
        (lambda: dist.all_gather_into_tensor(torch.ones(7), three), ("all_gather_into_tensor",)),
        (lambda: dist.reduce_scatter_tensor(three, torch.ones(5)), ("reduce_scatter_tensor",)),
        (lambda: dist.all_to_all_single(torch.ones(5), torch.ones(5)), ("all_to_all_single", "divided")),
    ]
    for number, (call, words) in enumerate(wrong):
        if number % size == rank:
            expect(SMDDPArgumentError, call, f"rank {rank} (", *words)
        total = torch.tensor([rank + 1.0])
        dist.all_reduce(total)
        assert total.item() == size * (size + 1) / 2, total
    say("fine")


def numpy_arguments() -> None:
    """The same through the framework-free interface."""
    world = join_numpy(20)
    three = np.ones(3)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    wrong: list[tuple[Callable[[], object], tuple[str, ...]]] = [
        (lambda: world.all_reduce([1.0, 2.0]), ("numpy.ndarray", "list")),  # type: ignore[arg-type]
        (lambda: world.all_reduce(np.ones((4, 4))[:, :2]), ("contiguous",)),
        (lambda: world.all_reduce(np.ones(3, np.complex64)), ("complex64",)),
        (lambda: world.all_reduce(np.array(["a", "b"])), ("dtype",)),
        (lambda: world.all_reduce(np.array([None, 3])), ("object",)),
        (lambda: world.all_reduce(three.astype(">f8")), ("byte order",)),
        (lambda: world.all_reduce(three, "median"), ("median", "sum")),
        (lambda: world.all_reduce(three, "xor"), ("xor", "float64")),
        (lambda: world.all_reduce(frozen), ("read-only",)),
        (lambda: world.broadcast(three, root=world.size), ("root", str(world.size))),
        (lambda: world.broadcast(three, root=-1), ("root", "-1")),
        (lambda: world.all_gather(np.ones(3 * world.size + 1), three), ("output", "elements")),
        (lambda: world.all_gather(np.ones(3 * world.size, np.float32), three), ("float32", "float64")),
        (lambda: world.reduce_scatter(three, np.ones(3)), ("elements",)),
        (lambda: world.all_to_all(np.ones(5), np.ones(5)), ("all_to_all", "5 elements")),
    ]
    for number, (call, words) in enumerate(wrong):
        if number % world.size == world.rank:
            expect(SMDDPArgumentError, call, f"rank {world.rank} (", *words)
        total = np.array([world.rank + 1.0])
        world.all_reduce(total)
        assert total[0] == world.size * (world.size + 1) / 2, total
    say("fine")


def states() -> None:
    """Calls at the wrong time; a second life after shutdown."""
    expect(SMDDPStateError, smddp.get_communicator, "init()")
    smddp.shutdown()
    world = join_numpy(20)
    expect(SMDDPStateError, smddp.init, "already")
    total = np.array([world.rank + 1])
    world.all_reduce(total)
    assert total[0] == world.size * (world.size + 1) // 2
    smddp.shutdown()
    smddp.shutdown()
    expect(SMDDPStateError, lambda: world.all_reduce(total), f"rank {world.rank} (", "left")
    expect(SMDDPStateError, smddp.get_communicator, "init()")
    for life in range(3):
        again = smddp.init(timeout=20)  # the first world is still held
        total = np.array([again.rank + life])
        again.all_reduce(total)
        assert total[0] == again.size * (again.size - 1) // 2 + again.size * life
        smddp.shutdown()
    say("fine")


def forked() -> None:
    """A forked child can do nothing, harms nothing, and ends as it likes."""
    world = join_numpy(20)
    child = os.fork()
    if child == 0:
        expect(SMDDPStateError, lambda: world.all_reduce(np.ones(3)), "fork")
        smddp.shutdown()
        expect(SMDDPStateError, smddp.init, "fork")
        raise SystemExit(7)  # through the interpreter's usual exit
    total = np.array([world.rank + 1])
    world.all_reduce(total)
    assert total[0] == world.size * (world.size + 1) // 2
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    world.barrier()
    say("fine")


def forked_through_torch() -> None:
    """The same for torch.distributed, with an operation in flight."""
    import torch
    import torch.distributed as dist

    join_torch(20)
    rank, size = dist.get_rank(), dist.get_world_size()
    total = torch.tensor([rank + 1])
    work = dist.all_reduce(total, async_op=True)
    child = os.fork()
    if child == 0:
        expect(SMDDPStateError, lambda: dist.all_reduce(torch.ones(3)), "fork")
        raise SystemExit(7)
    work.wait()
    assert total.item() == size * (size + 1) // 2
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    dist.barrier()
    say("fine")


def with_a_child_that_sleeps() -> None:
    """Operations without end, while a forked child that holds copies of all descriptors lives on."""
    import signal

    world = join_numpy(30)
    if world.rank == 1 and os.fork() == 0:
        say("child")
        signal.pause()
    from integration.faults.cases.common import telling

    with telling():
        while True:
            world.all_reduce(np.ones(3))
            say("step")

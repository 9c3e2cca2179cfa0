"""One rank calls something else than the others. Each case ends with the error, on all ranks."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from integration.faults.cases.common import join_numpy, join_torch, say, telling

import smddp

#: Seconds; longer than the test allows for the error, so an error by deadline fails it.
DEADLINE = 12.0

#: By name: what the odd rank calls where the others call all_reduce(float32, 1000 elements, sum).
NUMPY: dict[str, Callable[[smddp.Communicator], object]] = {
    "count": lambda world: world.all_reduce(np.zeros(999, np.float32)),
    "zero": lambda world: world.all_reduce(np.zeros(0, np.float32)),
    "many": lambda world: world.all_reduce(np.zeros(1_000_000, np.float32)),
    "dtype": lambda world: world.all_reduce(np.zeros(1000, np.float64)),
    "op": lambda world: world.all_reduce(np.zeros(1000, np.float32), "max"),
    "broadcast": lambda world: world.broadcast(np.zeros(1000, np.float32), 0),
    "reduce": lambda world: world.reduce(np.zeros(1000, np.float32), 0),
    "barrier": lambda world: world.barrier(),
    "all_gather": lambda world: world.all_gather(np.zeros(1000 * world.size, np.float32), np.zeros(1000, np.float32)),
    "reduce_scatter": lambda world: world.reduce_scatter(
        np.zeros(1000, np.float32), np.zeros(1000 * world.size, np.float32)
    ),
    "gather": lambda world: world.gather(np.zeros(1000 * world.size, np.float32), np.zeros(1000, np.float32)),
    "scatter": lambda world: world.scatter(np.zeros(1000, np.float32), np.zeros(1000 * world.size, np.float32)),
    "all_to_all": lambda world: world.all_to_all(
        np.zeros(1000 * world.size, np.float32), np.zeros(1000 * world.size, np.float32)
    ),
}


def numpy(name: str, odd: str) -> None:
    """Rank `odd` calls `NUMPY[name]`."""
    with telling():
        world = join_numpy(DEADLINE)
        array = np.full(1000, world.rank + 1.0, np.float32)
        NUMPY[name](world) if world.rank == int(odd) else world.all_reduce(array)
        say("no error from the first call")
        world.barrier()


def call_until_the_error(call: Callable[[], object]) -> None:
    """Call again and again; the first calls may be right.

    Where several ranks send first and receive nothing, as two roots of a broadcast do, all ranks may enter the
    barrier after it, and those that find nothing wrong in what was sent to them leave it before others tell them.
    """
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        call()
    raise AssertionError("no call ended with an error")


def root(collective: str, odd: str) -> None:
    """Rank `odd` names root 1, the others root 0."""
    with telling():
        world = join_numpy(DEADLINE)
        source = 1 if world.rank == int(odd) else 0
        array = np.full(1000, world.rank + 1.0, np.float32)
        if collective in ("gather", "scatter"):
            whole = np.full(1000 * world.size, world.rank + 1.0, np.float32)
            getattr(world, collective)(*((whole, array) if collective == "gather" else (array, whole)), source)
        else:
            getattr(world, collective)(array, source)
        # A rank whose part does not depend on the odd one may be through before others find out, with the right
        # data; it learns of the error at a later call.
        expected = source + 1.0 if collective in ("broadcast", "scatter") else world.size * (world.size + 1) / 2
        if collective == "gather":
            array, expected = whole.reshape(world.size, -1), np.arange(1.0, world.size + 1)[:, np.newaxis]
        if (collective in ("broadcast", "scatter") or world.rank == source) and not (array == expected).all():
            say("wrong data without an error")
        call_until_the_error(world.barrier)


def torch(name: str, odd: str) -> None:
    """Asynchronous, and so that the odd operation is queued behind others."""
    import torch
    import torch.distributed as dist

    with telling():
        join_torch(DEADLINE)
        tensors = [torch.ones(1000) for _ in range(4)]
        if dist.get_rank() == int(odd):
            tensors[2] = {"count": torch.ones(10, 101), "dtype": torch.ones(1000, dtype=torch.bfloat16)}[name]
        for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
            work.wait()


def failed_future(odd: str) -> None:
    """A future that failed says why each time it is asked, to everybody who asks."""
    import torch
    import torch.distributed as dist

    join_torch(DEADLINE)
    work = dist.all_reduce(torch.ones(3 if dist.get_rank() == int(odd) else 4), async_op=True)
    future = work.get_future()
    messages = []

    def ask(question: Callable[[], object]) -> None:
        try:
            question()
        except dist.DistBackendError as error:
            messages.append(f"{type(error).__name__}: {error}")

    told = future.then(lambda done: ask(done.value))
    for question in (future.wait, future.value, work.wait, future.wait, future.value, work.wait):
        ask(question)
    told.wait()
    assert len(messages) == 7
    assert len(set(messages)) == 1, messages
    say(messages[0])
    dist.destroy_process_group()


def terminal(odd: str) -> None:
    """After the error every call fails alike, at once, and ending in good order works."""
    import torch
    import torch.distributed as dist

    join_torch(DEADLINE)
    size = 3 if dist.get_rank() == int(odd) else 4
    messages = []
    begun = time.monotonic()
    for call in (
        lambda: dist.all_reduce(torch.ones(size)),
        lambda: dist.all_reduce(torch.ones(size)),
        lambda: dist.barrier(),
        lambda: dist.broadcast(torch.ones(2), 0, async_op=True).wait(),
    ):
        try:
            call()
        except dist.DistBackendError as error:
            messages.append(f"{type(error).__name__}: {error}")
    assert len(messages) == 4
    assert len(set(messages)) == 1, messages
    say(f"seconds {time.monotonic() - begun}")
    say(messages[0])
    dist.destroy_process_group()
    say("destroyed")

"""Ranks that do not come: stopped, busy elsewhere, or never started."""

from __future__ import annotations

import itertools
import os
import time

import numpy as np
from integration.faults.cases.common import join, join_numpy, say, telling

import smddp


def loop(interface: str, timeout: str) -> None:
    """Small operations until something happens."""
    with telling():
        join(interface, float(timeout))
        for number in itertools.count(1):
            if interface == "torch":
                import torch
                import torch.distributed as dist

                dist.all_reduce(torch.ones(10))
            else:
                smddp.get_communicator().all_reduce(np.ones(10))
            if number % 50 == 0:
                say(f"step {number}")


def join_only(timeout: str) -> None:
    """Join a world in which not everybody appears."""
    say("started")
    with telling():
        smddp.init(timeout=float(timeout))


def join_and_loop(timeout: str) -> None:
    """Operations without end, from the very start."""
    say("started")
    with telling():
        world = smddp.init(timeout=float(timeout))
        while True:
            world.all_reduce(np.ones(10))


def leave_slowly(signal_file: str) -> None:
    """Rank 3 leaves while an operation is pending that the others start when the file is there."""
    from pathlib import Path

    world = join_numpy(30)
    array = np.full(300_000, world.rank + 1.0)
    if world.rank == 3:
        world.all_reduce(array, async_op=True)
        say("leaving")
        smddp.shutdown()
        return
    deadline = time.monotonic() + 20
    while not Path(signal_file).exists() and time.monotonic() < deadline:
        os.sched_yield()
    with telling():
        world.all_reduce(array)


def wait_for_nobody() -> None:
    """Rank 0 waits for the others, who do something else until they are interrupted, too."""
    world = smddp.init(timeout=30)
    world.all_reduce(np.ones(10))
    say("joined")
    if world.rank == 0:
        world.barrier()
    while True:
        time.sleep(0.05)  # signal.pause() would lose a signal that comes right before it


def join_torch_by_file(timeout: str, path: str) -> None:
    """The same through torch with a store that waits for nobody; the ranks meet at the first collective."""
    import os
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    import smddp.torch  # noqa: F401 (registers the backend)

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.FileStore(path, size)
    dist.init_process_group("smddp", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=float(timeout)))
    say("started")
    with telling():
        dist.all_reduce(torch.ones(3))

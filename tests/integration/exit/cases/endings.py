"""Ranks that end without saying goodbye, each at another moment."""

from __future__ import annotations

import random
import time
from pathlib import Path


def torch_without_destroy(seed: str) -> None:
    """A few collectives, some of them still in flight at the end; then the script just ends."""
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    import smddp.torch  # noqa: F401 (registers the backend)

    torch.set_num_threads(1)
    dist.init_process_group("smddp", timeout=timedelta(seconds=30))
    rank, size = dist.get_rank(), dist.get_world_size()
    common, own = random.Random(seed), random.Random(f"{seed} {rank}")
    for _ in range(common.randrange(4)):
        total = torch.full((common.choice([1, 100, 100_000]),), rank + 1.0)
        dist.all_reduce(total)
        assert total.eq(size * (size + 1) / 2).all()
    if common.random() < 0.5:
        pair = dist.new_group([0, size - 1])
        if rank in (0, size - 1):
            dist.broadcast(torch.ones(3), 0, group=pair)
    if common.random() < 0.5:
        dist.all_reduce(torch.ones(200_000), async_op=True)
    time.sleep(own.choice([0, 0, own.uniform(0, 0.2)]))  # work that differs between ranks


def numpy_without_shutdown(seed: str) -> None:
    """The same through the framework-free interface."""
    import numpy as np

    import smddp

    world = smddp.init(timeout=30)
    common, own = random.Random(seed), random.Random(f"{seed} {world.rank}")
    for _ in range(common.randrange(4)):
        total = np.full(common.choice([1, 100, 100_000]), world.rank + 1.0)
        world.all_reduce(total)
        assert (total == world.size * (world.size + 1) / 2).all()
    if common.random() < 0.5:
        world.all_reduce(np.ones(200_000), async_op=True)
    time.sleep(own.choice([0, 0, own.uniform(0, 0.2)]))  # work that differs between ranks


def no_collective() -> None:
    """Join torch's world and end; the groups never meet."""
    import torch.distributed as dist

    import smddp.torch  # noqa: F401 (registers the backend)

    dist.init_process_group("smddp")


def one_leaves_early(leaver: str) -> None:
    """One rank ends long before the others have finished what does not need it."""
    import numpy as np

    import smddp

    world = smddp.init(timeout=30)
    world.all_reduce(np.ones(3))
    if world.rank != int(leaver):
        time.sleep(0.5)  # work of their own


def exit_code(code: str) -> None:
    """End with a code of its own, through sys.exit, with an operation in flight that nobody else joins."""
    import numpy as np

    import smddp

    world = smddp.init(timeout=30)
    world.barrier()
    if world.rank == 2:
        world.all_reduce(np.ones(3), async_op=True)
        raise SystemExit(int(code))


def import_only() -> None:
    """Importing starts no thread and opens no socket beyond what torch and NumPy do."""
    import numpy as np  # noqa: F401
    import torch  # noqa: F401

    before = _threads_and_descriptors()
    import smddp.torch  # noqa: F401
    import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401

    assert _threads_and_descriptors() == before


def _threads_and_descriptors() -> tuple[int, list[str]]:
    links = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return len(list(Path("/proc/self/task").iterdir())), sorted(links)

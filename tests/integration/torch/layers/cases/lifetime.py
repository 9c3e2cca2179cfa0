"""Joining, leaving and joining again in one process."""

from __future__ import annotations

import gc
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from integration.torch.layers.runner import Job

WARM_UP, ROUNDS = 10, 100
#: What the process may have more after all rounds: an allocator rounds up, and torch keeps some words for each group
#: that has been. A leaked segment or thread stack in each round would be far more.
MAPPINGS, RESIDENT_KIB = 8, 8 * 1024


def joining_again_and_again(job: Job) -> None:
    """The process holds as many descriptors, threads, mappings and bytes after 100 rounds as before."""
    store = dist.distributed_c10d._get_default_store()
    for number in range(WARM_UP):
        _round(job, store, number)
    before = _held()
    for number in range(WARM_UP, WARM_UP + ROUNDS):
        _round(job, store, number)
    after = _held()
    assert after["descriptors"] <= before["descriptors"], (before, after)
    assert after["threads"] <= before["threads"], (before, after)
    assert after["mappings"] <= before["mappings"] + MAPPINGS, (before, after)
    assert after["resident KiB"] <= before["resident KiB"] + RESIDENT_KIB, (before, after)


def groups_that_come_and_go(job: Job) -> None:
    """The same for groups beside the default one."""

    def one() -> None:
        group = dist.new_group()
        dist.all_reduce(torch.ones(3), group=group)
        dist.destroy_process_group(group)

    for _ in range(WARM_UP):
        one()
    before = _held()
    for _ in range(ROUNDS):
        one()
    after = _held()
    assert after["descriptors"] <= before["descriptors"], (before, after)
    assert after["threads"] <= before["threads"], (before, after)
    assert after["mappings"] <= before["mappings"] + MAPPINGS, (before, after)


def shutdown_and_abort(job: Job) -> None:
    """The names by which torch ends a backend; the next group is a new one."""
    for end in ("shutdown", "abort"):
        group = dist.new_group()
        tensor = torch.full((10,), job.rank + 1.0)
        dist.all_reduce(tensor, group=group)
        assert torch.equal(tensor, torch.full((10,), job.size * (job.size + 1) / 2))
        getattr(group._get_backend(torch.device("cpu")), end)()
        try:
            dist.all_reduce(tensor, group=group)
        except dist.DistBackendError as refusal:
            assert type(refusal).__name__ == "SMDDPStateError", repr(refusal)
        else:
            raise AssertionError(f"a collective worked after {end}()")
        dist.barrier()


def timeout_of_one_wait(job: Job) -> None:
    """A wait that is too short says so, and the operation still ends well."""
    store = dist.distributed_c10d._get_default_store()
    tensor = torch.full((10,), job.rank + 1.0)
    if job.rank == 0:
        work = dist.all_reduce(tensor, async_op=True)
        assert not work.is_completed()
        try:
            work.wait(timedelta(milliseconds=20))
        except dist.DistBackendError as problem:
            assert "wait(20 ms)" in str(problem), problem
        else:
            raise AssertionError("the wait was not cut short")
        store.set("others may start", "")
    else:
        store.wait(["others may start"])
        work = dist.all_reduce(tensor, async_op=True)
    assert work.wait(timedelta(seconds=20))
    assert work.exception() is None
    assert torch.equal(tensor, torch.full((10,), job.size * (job.size + 1) / 2))


def _round(job: Job, store: dist.Store, number: int) -> None:
    dist.destroy_process_group()
    dist.init_process_group(
        "smddp",
        store=dist.PrefixStore(f"round {number}", store),
        rank=job.rank,
        world_size=job.size,
        timeout=timedelta(seconds=20),
    )
    tensor = torch.full((2000,), job.rank + 1.0)
    dist.all_reduce(tensor)
    assert torch.equal(tensor, torch.full((2000,), job.size * (job.size + 1) / 2))


def _held() -> dict[str, int]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
        "resident KiB": int(resident.split()[1]),
    }

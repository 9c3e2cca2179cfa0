"""Groups of ranks, and meshes of them."""

from __future__ import annotations

import itertools
import threading

import torch
import torch.distributed as dist
from integration.torch.layers.runner import Job
from torch.distributed.device_mesh import init_device_mesh

ELEMENTS = 1000


def own(job: Job, factor: int = 1) -> torch.Tensor:
    return factor * (torch.arange(ELEMENTS, dtype=torch.float64) + 1000 * job.rank)


def summed(job: Job, group: dist.ProcessGroup | None, factor: int = 1) -> torch.Tensor:
    tensor = own(job, factor)
    dist.all_reduce(tensor, group=group)
    return tensor


def overlapping(job: Job) -> object:
    """Every set of at least two ranks; all operations are under way at once."""
    results = []
    for size in range(2, job.size + 1):
        groups = [(members, dist.new_group(list(members))) for members in itertools.combinations(range(job.size), size)]
        tensors = {members: own(job) for members, _ in groups if job.rank in members}
        works = [
            dist.all_reduce(tensors[members], group=group, async_op=True)
            for members, group in groups
            if job.rank in members
        ]
        for work in works:
            work.wait()
        results += list(tensors.values())
    return results


def disjoint(job: Job) -> object:
    mine, groups = dist.new_subgroups(group_size=job.size // 2)
    by_list, _ = dist.new_subgroups_by_enumeration([[rank] for rank in range(job.size)])
    return (
        summed(job, mine),
        dist.get_process_group_ranks(mine),
        [dist.get_group_rank(mine, rank) for rank in dist.get_process_group_ranks(mine)],
        len(groups),
        summed(job, by_list),
    )


def made_by_members_alone(job: Job) -> object:
    """Only members call new_group."""
    pair = [job.rank // 2 * 2, job.rank // 2 * 2 + 1]
    group = dist.new_group(pair, use_local_synchronization=True)
    return summed(job, group), dist.get_rank(group)


def ranks_in_another_order(job: Job) -> object:
    group = dist.new_group(list(reversed(range(job.size))))
    tensor = own(job)
    dist.broadcast(tensor, src=job.size - 1, group=group)
    return tensor, dist.get_rank(group), dist.get_process_group_ranks(group)


def groups_inside_threads(job: Job) -> object:
    """Each thread uses groups of its own at the same time, each many times."""
    groups = [dist.new_group() for _ in range(4)]
    results: list[list[torch.Tensor]] = [[] for _ in groups]

    def use(number: int) -> None:
        for turn in range(20):
            results[number].append(summed(job, groups[number], factor=1 + 10 * number + turn))

    _in_threads(use, len(groups))
    return results


def groups_made_inside_threads(job: Job) -> object:
    """torch numbers groups, so all ranks make them in one order; each thread uses its own as soon as it has it."""
    results: list[torch.Tensor | None] = [None] * 3
    turns = [threading.Event() for _ in range(len(results) + 1)]
    turns[0].set()

    def make(number: int) -> None:
        assert turns[number].wait(20), "the thread before made no group"
        group = dist.new_group()
        turns[number + 1].set()
        results[number] = summed(job, group, factor=number + 1)

    _in_threads(make, len(results))
    return results


def mesh(job: Job) -> object:
    """Rows, columns, and all of them flattened."""
    both = init_device_mesh("cpu", (2, job.size // 2), mesh_dim_names=("rows", "columns"))
    results: list[object] = []
    for name in ("rows", "columns"):
        part = both[name]
        results += [summed(job, part.get_group()), part.mesh.tolist(), part.get_local_rank()]
    flat = both._flatten("all")
    return [*results, summed(job, flat.get_group()), both.get_coordinate(), both.mesh.tolist()]


def _in_threads(call: object, count: int) -> None:
    problems: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            call(number)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]

"""torch.distributed.Work: what a handle answers, before and after its operation is over."""

from __future__ import annotations

from datetime import timedelta

import torch
import torch.distributed as dist
from integration.torch.layers.runner import Job

LARGE = 1 << 18


def own(job: Job, count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float64) + job.rank * 1000


def wait(job: Job) -> object:
    tensor = own(job, LARGE)
    work = dist.all_reduce(tensor, async_op=True)
    answers = [work.wait(), work.wait(timedelta(seconds=20)), work.is_completed(), work.is_success()]
    return answers, work.exception(), tensor


def result(job: Job) -> object:
    """The tensors themselves, not copies."""
    tensor = own(job, 100)
    work = dist.all_reduce(tensor, async_op=True)
    work.wait()
    assert work.result()[0].data_ptr() == tensor.data_ptr()
    return [each.clone() for each in work.result()]


def future(job: Job) -> object:
    """Callbacks before and after the end."""
    tensor = own(job, LARGE)
    work = dist.all_reduce(tensor, async_op=True)
    doubled = work.get_future().then(lambda done: done.value()[0] * 2)
    tripled = doubled.then(lambda done: done.value() * 1.5)
    work.wait()
    after = work.get_future().then(lambda done: len(done.value()))
    return doubled.wait(), tripled.wait(), after.wait(), work.get_future().done()


def future_after_wait(job: Job) -> object:
    """When `wait` has returned, a future is there at once, asked for before or after; DDP's join relies on it."""
    results = []
    for number in range(200):
        tensor = own(job, 10 + number)
        work = dist.all_reduce(tensor, async_op=True)
        before = work.get_future() if number % 2 else None
        work.wait()
        assert before is None or before.done(), f"round {number}"
        results.append(work.get_future().value()[0])
    return results


def future_of_many_tensors(job: Job) -> object:
    lists = [torch.empty(10, dtype=torch.float64) for _ in range(job.size)]
    work = dist.all_gather(lists, own(job, 10), async_op=True)
    return torch.futures.collect_all([work.get_future()]).wait()[0].value(), lists


def collected_futures(job: Job) -> object:
    tensors = [own(job, 10 + number) for number in range(8)]
    works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
    return [value[0] for value in torch.futures.wait_all([work.get_future() for work in works])]


def exception_in_a_callback(job: Job) -> object:
    """It stays with its future; the operation has succeeded."""
    tensor = own(job, 10)
    work = dist.all_reduce(tensor, async_op=True)

    def fail(_: object) -> None:
        raise KeyError(f"rank {job.rank}")

    future = work.get_future().then(fail)
    try:
        future.wait()
    except RuntimeError as problem:
        text = str(problem)
    work.wait()
    return f"KeyError: 'rank {job.rank}'" in text, work.is_success(), tensor


def many_in_flight(job: Job) -> object:
    """Waited for in the opposite order."""
    tensors = [own(job, 1 + 37 * number) for number in range(50)]
    works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
    for work in reversed(works):
        work.wait()
    return tensors


def handle_given_up(job: Job) -> object:
    """Nobody holds the handle; the operation goes on."""
    tensor = own(job, LARGE)
    dist.all_reduce(tensor, async_op=True)
    dist.barrier()
    return tensor

"""What one rank does in a measurement: all_reduce by several backends of torch.distributed, in turns."""

from __future__ import annotations

import json
import time

import torch
import torch.distributed as dist

import smddp.torch  # noqa: F401 (registers the backend)

from support.netlab.inside import bytes_sent

__all__ = ["calls_in_sample", "measure"]

#: A sample of a small size is that many calls in a row, up to so many bytes, so that neither the stopwatch counts nor
#: when each rank leaves the barrier: where ranks share processors, that is time slices apart.
MOST_CALLS, SAMPLE_BYTES = 100, 4 << 20
WARM_UP = 2


def calls_in_sample(size: int) -> int:
    return max(1, min(MOST_CALLS, SAMPLE_BYTES // size))


def measure(backends: str, sizes: str, rounds: str) -> None:
    """Rank 0 prints a line of JSON for each backend and size, with lists of what each round took per call.

    "seconds" is the time on the slowest rank, from a barrier; "sent" the bytes of the host that sent most; "processor"
    the processor time of all ranks together, in seconds.
    """
    torch.set_num_threads(1)
    dist.init_process_group("gloo")  # what takes the times, and their barriers
    groups = {name: dist.new_group(backend=name) for name in backends.split(",")}
    for size in map(int, sizes.split(",")):
        check(size, groups)
        samples: dict[str, list[list[float]]] = {name: [] for name in groups}
        for number in range(WARM_UP + int(rounds)):
            for name, group in groups.items():
                taken = sample(size, group)
                if number >= WARM_UP:
                    samples[name].append(taken)
        if dist.get_rank() == 0:
            for name, of_one in samples.items():
                taken = dict(zip(("seconds", "sent", "processor"), zip(*of_one, strict=True), strict=True))
                print(json.dumps({"backend": name, "nbytes": size, **taken}), flush=True)
    dist.destroy_process_group()


def check(size: int, groups: dict[str, dist.ProcessGroup]) -> None:
    """Nobody measures what is wrong."""
    for name, group in groups.items():
        tensor = torch.full((size // 4,), float(dist.get_rank() + 1))
        dist.all_reduce(tensor, group=group)
        expected = sum(range(1, dist.get_world_size() + 1))
        assert bool((tensor == expected).all()), f"{name}: {tensor} is not full of {expected}"


def sample(size: int, group: dist.ProcessGroup) -> list[float]:
    """Seconds, bytes sent and processor time of one all_reduce, on average over as many as a sample has."""
    tensor = torch.zeros(size // 4)
    calls = calls_in_sample(size)
    dist.barrier()
    before = bytes_sent()
    dist.barrier()
    begin, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        dist.all_reduce(tensor, group=group)
    taken, processor = time.perf_counter() - begin, time.process_time() - processor
    dist.barrier()
    worst = torch.tensor([taken, bytes_sent() - before], dtype=torch.float64)
    total = torch.tensor([processor], dtype=torch.float64)
    dist.all_reduce(worst, op=dist.ReduceOp.MAX)
    dist.all_reduce(total)
    return [value / calls for value in (*worst.tolist(), *total.tolist())]

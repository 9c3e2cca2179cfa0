"""Measure exposed communication: the part of a training step that waits for other ranks and that no computing hides.

Run it on two ranks or more, with one backend or with several in turns:

    smddprun -np 2 python examples/06_exposed_communication.py
    smddprun -np 2 python examples/06_exposed_communication.py --backends smddp gloo

The model has 25 million parameters and the batch has one sample, so there is little to compute and much to exchange.
Every step runs once with its communication and once without it, and the difference of the two is what is exposed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

import smddp.torch  # noqa: F401 (registers the backend)

DEPTH = 6
WARM_UP = 3

#: One step, forward and backward; with communication or without.
Step = Callable[[bool], None]


def make_model(width: int) -> nn.Sequential:
    layers = [layer for _ in range(DEPTH) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers)


def backward(model: nn.Module, sample: torch.Tensor) -> None:
    model(sample).square().mean().backward()


def ddp_step(group: dist.ProcessGroup, sample: torch.Tensor) -> Step:
    model = DistributedDataParallel(make_model(sample.shape[1]), process_group=group, gradient_as_bucket_view=True)

    def step(communicate: bool) -> None:
        with contextlib.nullcontext() if communicate else model.no_sync():
            backward(model, sample)

    return step


def fsdp_step(group: dist.ProcessGroup, alone: dist.ProcessGroup, sample: torch.Tensor) -> Step:
    """Without communication: the same step on a group of this rank alone, which does everything else too."""
    models = [sharded(make_model(sample.shape[1]), one) for one in (alone, group)]

    def step(communicate: bool) -> None:
        backward(models[communicate], sample)

    return step


def sharded(model: nn.Sequential, group: dist.ProcessGroup) -> nn.Module:
    mesh = DeviceMesh.from_group(group, "cpu")
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def make_steps(backends: list[str], sample: torch.Tensor) -> dict[tuple[str, str], Step]:
    steps = {}
    for backend in backends:
        group = dist.new_group(backend=backend)
        singles = [dist.new_group([rank], backend=backend) for rank in range(dist.get_world_size())]
        steps["DDP", backend] = ddp_step(group, sample)
        steps["FSDP2", backend] = fsdp_step(group, singles[dist.get_rank()], sample)
    return steps


def slowest_ms(step: Step, communicate: bool) -> float:
    """Time of one step in milliseconds, on the slowest rank."""
    dist.barrier()
    begin = time.perf_counter()
    step(communicate)
    taken = torch.tensor(1e3 * (time.perf_counter() - begin), dtype=torch.float64)
    dist.all_reduce(taken, op=dist.ReduceOp.MAX)
    return taken.item()


def measure(steps: dict[tuple[str, str], Step], rounds: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """By step: its time with communication and without it, in each round. The steps take turns."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = {name: [] for name in steps}
    for number in tqdm(range(WARM_UP + rounds), unit="round", disable=dist.get_rank() != 0):
        for name, step in steps.items():
            pair = slowest_ms(step, True), slowest_ms(step, False)
            if number >= WARM_UP:
                times[name].append(pair)
    return times


def report(times: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    print(f"{'wrapper':8} {'backend':8} {'step':>9} {'computing':>11} {'exposed':>9}   milliseconds, medians")
    for (wrapper, backend), pairs in times.items():
        whole, computing = (statistics.median(each) for each in zip(*pairs, strict=True))
        exposed = statistics.median(with_ - without for with_, without in pairs)
        print(f"{wrapper:8} {backend:8} {whole:9.1f} {computing:11.1f} {exposed:9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["smddp"], help="of torch.distributed")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--width", type=int, default=2048, help="features of each of the six layers")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the ranks share the cores

    dist.init_process_group("smddp")
    torch.manual_seed(dist.get_rank())
    times = measure(make_steps(options.backends, torch.randn(1, options.width)), options.rounds)
    if dist.get_rank() == 0:
        report(times)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""Time all_reduce on backends gloo and smddp side by side, through torch.distributed.

    python tests/perf/allreduce.py --ranks 2 --sizes 8,65536,1048576,67108864

Both backends live in the same processes and take turns, so that whatever else the machine does hits both.
A figure is the median over the calls, each begun right after a barrier, on the slowest rank.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 (registers the backend)

BACKENDS = ("gloo", "smddp")
ROUNDS = 3
DEFAULT_SIZES = "8,1024,65536,1048576,16777216,67108864"


def calls_per_round(size: int) -> int:
    """Fewer calls for longer messages: a round takes about as long for each size."""
    return max(4, min(300, (32 << 20) // max(size, 1)))


def time_calls(group: dist.ProcessGroup, tensor: torch.Tensor, calls: int) -> list[float]:
    """Time `calls` sums of ones in seconds, and check every result."""
    times = []
    for _ in range(calls):
        tensor.fill_(1)
        dist.barrier(group)
        begin = time.perf_counter()
        dist.all_reduce(tensor, group=group)
        times.append(time.perf_counter() - begin)
        if tensor[0] != dist.get_world_size() or tensor[-1] != dist.get_world_size():
            message = f"wrong sum from {dist.get_backend(group)}: {tensor[0]}"
            raise RuntimeError(message)
    return times


def compare(size: int, groups: dict[str, dist.ProcessGroup]) -> dict[str, float]:
    """Return the median in seconds for each backend, of its slowest rank."""
    tensor = torch.empty(max(1, size // 4))
    times: dict[str, list[float]] = {name: [] for name in groups}
    for group in groups.values():
        time_calls(group, tensor, 3)  # warm up
    for _ in range(ROUNDS):
        for name, group in groups.items():
            times[name] += time_calls(group, tensor, calls_per_round(size))
    medians = torch.tensor([statistics.median(values) for values in times.values()], dtype=torch.float64)
    dist.all_reduce(medians, op=dist.ReduceOp.MAX, group=groups["gloo"])
    return dict(zip(times, medians.tolist(), strict=True))


def run_rank(rank: int, ranks: int, sizes: list[int], store_file: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(store_file, ranks), rank=rank, world_size=ranks)
    groups = {name: dist.new_group(backend=name) for name in BACKENDS}
    if rank == 0:
        print(f"{ranks} ranks, {os.cpu_count()} cores, {platform.processor() or platform.machine()}, float32")
        print(f"{'bytes':>10} {'gloo, us':>12} {'smddp, us':>12} {'ratio':>7}")
    for size in sizes:
        medians = compare(size, groups)
        if rank == 0:
            gloo, smddp = (medians[name] * 1e6 for name in BACKENDS)
            print(f"{size:>10} {gloo:>12.1f} {smddp:>12.1f} {smddp / gloo:>7.2f}", flush=True)
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--sizes", default="8,1024,65536,1048576,16777216,67108864", help="bytes, comma separated")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(run_rank, args=(options.ranks, sizes, f"{folder}/store"), nprocs=options.ranks)


if __name__ == "__main__":
    main()

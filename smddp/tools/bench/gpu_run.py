"""The benchmark on CUDA tensors, in each rank: through torch.distributed, on the rank's GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import smddp
import smddp.torch
from smddp.errors import SMDDPSystemError
from smddp.tools.bench.compare import ROUNDS
from smddp.tools.bench.gpu_measure import OWN, Groups, Measurement
from smddp.tools.bench.gpu_ranks import GpuRanks, choose_gpu, ranks_of_gpus
from smddp.tools.bench.gpu_report import GpuLimits, GpuRow, describe_gpu_limits, gpu_header, gpu_line
from smddp.tools.bench.gpus import why_not_nccl
from smddp.tools.bench.options import Options
from smddp.tools.bench.report import write_csv, write_json
from smddp.tools.bench.timing import time_loop

__all__ = ["measure_gpus", "run_gpu_rank"]

#: Twice as much does not fit into the cache of any GPU.
_COPY_BYTES = 256 << 20
_COPIES = 50


def run_gpu_rank(options: Options, device_type: str = "cuda", copy_bytes: int = _COPY_BYTES) -> int:
    """Measure, as one rank of the job; rank 0 reports. Returns the exit code: 1 when a result was wrong.

    Args:
        options: what to measure.
        device_type: torch's name of the accelerator.
        copy_bytes: how much is copied to find the limit of the device.

    Raises:
        SMDDPError: what went wrong between the ranks, or too little memory on a GPU.
    """
    dist.init_process_group("smddp")
    try:
        ranks = GpuRanks(choose_gpu(device_type))
        rows = measure_gpus(options, ranks, _other_groups(options, ranks), copy_bytes)
    except torch.OutOfMemoryError as problem:
        msg = f"too little memory on the GPU; choose smaller sizes with -e: {str(problem).splitlines()[0]}"
        raise SMDDPSystemError(msg) from problem
    dist.destroy_process_group()
    return 1 if any(row.wrong for row in rows) else 0


def _other_groups(options: Options, ranks: GpuRanks) -> Groups:
    """What ``--compare`` names, where it can serve; a line says why not otherwise."""
    if not options.compare:
        return {}
    problem = why_not_nccl(ranks_of_gpus(ranks), available=dist.is_nccl_available())
    group = None
    if not problem:
        group = dist.new_group(backend="nccl")
        problem = next(filter(None, ranks.gather(_join(group, ranks))), "")
    if problem:
        ranks.say(f"# --compare nccl is left out: {problem}")
        return {}
    return {"nccl": group}


def _join(group: Any, ranks: GpuRanks) -> str:
    """Let the library connect the ranks; returns why it could not, or nothing."""
    try:
        dist.all_reduce(torch.ones(1, device=ranks.device), group=group)
        ranks.finish()
    except RuntimeError as problem:
        return str(problem).splitlines()[0]
    return ""


def measure_gpus(options: Options, ranks: GpuRanks, others: Groups, copy_bytes: int) -> list[GpuRow]:
    """Measure every collective and size, in turns with other libraries; rank 0 prints and writes files."""
    limits = _probe(ranks, copy_bytes)
    dist.all_reduce(torch.ones(1, device=ranks.device))  # ranks agree on the way, and connect, when they first use it
    ranks.barrier()
    machine = _machine(ranks, limits)
    ranks.say("# smddp bench: " + ", ".join(f"{name} {value}" for name, value in machine.items()))
    ranks.say(describe_gpu_limits(limits))
    rows: list[GpuRow] = []
    for collective in options.collectives:
        ranks.say(gpu_header(collective, list(others)))
        for size in options.sizes:
            found = Measurement(options, ranks, limits, collective, size).rows({OWN: None, **others})
            ranks.say(gpu_line(found[OWN], [found.get(title) for title in others]))
            rows += found.values()
    if ranks.rank == 0:
        _write(options, machine, limits, rows)
    return rows


def _probe(ranks: GpuRanks, copy_bytes: int) -> GpuLimits:
    """The bandwidth of copies on all ranks at once."""
    source = torch.zeros(copy_bytes, dtype=torch.uint8, device=ranks.device)
    target = torch.zeros_like(source)
    calls = [partial(target.copy_, source)]
    seconds = [time_loop(ranks, calls, _COPIES, ranks.finish).seconds for _ in range(1 + ROUNDS)][1:]
    sharing = ranks_of_gpus(ranks)
    rate = 2 * copy_bytes * max(sharing) / float(np.median(seconds))
    return GpuLimits(ranks=sharing, copy_bytes=copy_bytes, copy_rate=rate)


def _machine(ranks: GpuRanks, limits: GpuLimits) -> dict[str, object]:
    device = ranks.device
    return {
        "version": smddp.__version__,
        "ranks": ranks.size,
        "device": device.type,
        "GPU": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "GPUs": len(limits.ranks),
        "transport": smddp.torch.transport_name(device=device.type),
        "torch": torch.__version__,
    }


def _write(options: Options, machine: Mapping[str, object], limits: GpuLimits, rows: Sequence[GpuRow]) -> None:
    if options.json is not None:
        write_json(options.json, {"machine": machine, "limits": limits.as_dict()}, rows)
    if options.csv is not None:
        write_csv(options.csv, rows)
    if options.plot is not None:
        from smddp.tools.bench.plot import draw

        title = f"{machine['ranks']} ranks, {machine['GPU']}, {machine['transport']}, {options.dtype}"
        draw(options.plot, rows, title)

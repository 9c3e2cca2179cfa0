"""`smddp bench --device cuda` on another device than CUDA, which the command itself does not offer."""

from __future__ import annotations

import argparse
import contextlib
import io

import torch.distributed as dist
from integration.torch.cases.common import serve_fake_gpu

from smddp.tools.bench.gpu_ranks import GpuRanks, choose_gpu
from smddp.tools.bench.gpu_run import measure_gpus, run_gpu_rank
from smddp.tools.bench.options import Options, add_arguments, read_options

#: Enough to see that it is copied.
COPY_BYTES = 1 << 20


def options(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return read_options(parser.parse_args(["--device", "cuda", *words]))


def command(*words: str) -> None:
    """What a rank of the command does."""
    serve_fake_gpu()
    assert run_gpu_rank(options(*words), "fakegpu", COPY_BYTES) == 0


def in_turns(*words: str) -> None:
    """Beside another library, which is smddp again; no NCCL serves torch's device here."""
    serve_fake_gpu()
    dist.init_process_group("smddp")
    others = {"other": dist.new_group(backend="smddp")}
    rows = measure_gpus(options(*words), GpuRanks(choose_gpu("fakegpu")), others, COPY_BYTES)
    assert [row.library for row in rows] == ["smddp", "other"] * (len(rows) // 2)
    assert not any(row.wrong for row in rows)
    dist.destroy_process_group()


def refused(*words: str) -> None:
    """Beside a library that has no such tensors."""
    serve_fake_gpu()
    dist.init_process_group("smddp")
    others = {"gloo": dist.new_group(backend="gloo")}
    with contextlib.redirect_stderr(io.StringIO()) as said:
        rows = measure_gpus(options(*words), GpuRanks(choose_gpu("fakegpu")), others, COPY_BYTES)
    assert {row.library for row in rows} == {"smddp"}
    if dist.get_rank() == 0:
        (line,) = said.getvalue().splitlines()
        assert line.startswith("smddp bench: gloo cannot do all_reduce of 8 bytes: "), line
    dist.destroy_process_group()

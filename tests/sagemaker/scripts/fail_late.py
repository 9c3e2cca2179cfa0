"""Train for some steps, until one rank does what `--how` says."""

from __future__ import annotations

import argparse
import os
import signal

import torch
import torch.distributed as dist

import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 (registers the backend)

STEPS = 50


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=sorted(WAYS))
    parser.add_argument("--culprit", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("smddp")
    values = torch.ones(1000)
    for step in range(2 * STEPS):
        if step == STEPS and dist.get_rank() == options.culprit:
            WAYS[options.how]()
        dist.all_reduce(values, dist.ReduceOp.AVG)
    dist.destroy_process_group()


def raise_error() -> None:
    raise ValueError(f"the labels of step {STEPS} are out of range")


def call_another_collective() -> None:
    dist.all_reduce(torch.ones(999), dist.ReduceOp.AVG)


def leave() -> None:
    os._exit(0)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


WAYS = {"error": raise_error, "mismatch": call_another_collective, "leave": leave, "kill": be_killed}

if __name__ == "__main__":
    main()

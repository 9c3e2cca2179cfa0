"""Scripts for the older module as jobs of their own: one process, or several ranks."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import NamedTuple

from integration.compat.pool import rank_environment

from smddp.launch.machine import free_port

from support.jobs import run_job

__all__ = ["HEADER", "SECONDS", "Ended", "run_alone", "run_ranks"]

#: Several fresh interpreters that load torch: seconds on an idle machine, much more on a busy one.
SECONDS = 120

HEADER = """
import datetime, os, sys, warnings
import torch
from torch.distributed import DistBackendError
import smdistributed.dataparallel.torch.distributed as smdp
from smdistributed.dataparallel.exceptions import *
from smdistributed.dataparallel.torch.parallel import DistributedDataParallel
"""


class Ended(NamedTuple):
    """A rank that has ended."""

    returncode: int
    stdout: str
    stderr: str


def run_alone(code: str, *, header: str = HEADER, **env: str) -> str:
    """Run code in one process, after the header; returns what it printed."""
    argv = [sys.executable, "-W", "ignore::FutureWarning", "-c", header + textwrap.dedent(code)]
    return run_job(argv, timeout=SECONDS, env=env).check().stdout


def run_ranks(code: str, size: int, *, header: str = HEADER, seconds: float = SECONDS) -> list[Ended]:
    """Run code on `size` ranks at once, after the header."""
    # A launcher of their own, so that all of them end with one session.
    launcher = textwrap.dedent(
        """
        import json, os, subprocess, sys
        code, environments = json.loads(sys.argv[1])
        pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        command = [sys.executable, "-c", code]
        ranks = [subprocess.Popen(command, env=os.environ | env, **pipes) for env in environments]
        print(json.dumps([(*rank.communicate(), rank.returncode) for rank in ranks]))
        """
    )
    port = free_port()
    environments = [rank_environment(rank, size, port) for rank in range(size)]
    task = json.dumps([header + textwrap.dedent(code), environments])
    job = run_job([sys.executable, "-c", launcher, task], timeout=seconds).check()
    return [Ended(status, out, err) for out, err, status in json.loads(job.stdout)]

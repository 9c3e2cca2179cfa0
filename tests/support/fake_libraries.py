"""Where the pretended driver and NCCL lie, for test processes that do not import torch themselves."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from support.jobs import REPOSITORY

__all__ = ["fake_libraries"]


@functools.cache
def fake_libraries() -> Path:
    """The folder with support.fake_gpu's libcuda.so.1, libhidden_cuda.so, libnccl.so.2 and libfake_kernels.so.

    Builds them when needed.
    """
    code = "from support.fake_gpu.building import build; print(build())"
    tests = REPOSITORY / "tests"
    built = subprocess.run([sys.executable, "-c", code], cwd=tests, check=True, capture_output=True, text=True)
    return Path(built.stdout.strip())

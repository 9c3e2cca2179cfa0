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
    """The folder with `libcuda.so.1` and `libnccl.so.2` of support.fake_gpu; builds them when needed."""
    code = "from support.fake_gpu.building import build; print(build())"
    tests = REPOSITORY / "tests"
    built = subprocess.run([sys.executable, "-c", code], cwd=tests, check=True, capture_output=True, text=True)
    return Path(built.stdout.strip())

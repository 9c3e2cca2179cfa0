"""Where the pretended driver and NCCL lie, for test processes that do not import torch themselves."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from support.jobs import REPOSITORY

__all__ = ["fake_libraries", "fake_settings"]


@functools.cache
def fake_libraries() -> Path:
    """The folder with support.fake_gpu's libcuda.so.1, libhidden_cuda.so, libnccl.so.2 and libfake_kernels.so.

    And libfake_tensorflow_device.so, where TensorFlow is installed. Builds them when needed.
    """
    code = "from support.fake_gpu.building import build; print(build())"
    tests = REPOSITORY / "tests"
    built = subprocess.run([sys.executable, "-c", code], cwd=tests, check=True, capture_output=True, text=True)
    return Path(built.stdout.strip())


def fake_settings() -> dict[str, str]:
    """Environment of ranks on two pretended GPUs; builds the libraries before ranks with deadlines need them."""
    return {
        "SMDDP_NCCL_LIBRARY": str(fake_libraries() / "libnccl.so.2"),
        "SMDDP_GPU_KERNELS": str(fake_libraries() / "libfake_kernels.so"),
        # Memory of freed tensors is used again in the order of the stream, as CUDA's caching allocator does.
        "FAKE_GPU_FREE": "stream",
        "FAKE_GPU_COUNT": "2",
    }

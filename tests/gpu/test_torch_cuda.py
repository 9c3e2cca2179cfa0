"""Backend smddp with CUDA tensors: the cases of CPU tensors, and those of GPUs.

Ranks share the GPUs where there are fewer.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from integration.torch.conftest import RunRanks

pytestmark = pytest.mark.timeout(360)

MODULES = ("collectives", "coalesced", "layouts", "numbers", "functional", "asynchronous", "groups", "devices")


@pytest.fixture(scope="session")
def torch_with_cuda(gpus: int) -> int:
    """Number of GPUs that torch can use."""
    asked = [sys.executable, "-c", "import torch; print(torch.cuda.device_count(), torch.__version__)"]
    count, version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    if count == "0":
        pytest.skip(f"{gpus} GPUs, but torch {version} is a build without CUDA, or cannot use them")
    return int(count)


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.usefixtures("torch_with_cuda")
def test_through_host_memory(module: str, ranks: int, run_ranks: RunRanks, seed: int) -> None:
    """Bit for bit as on the CPU."""
    settings = {"SMDDP_GPU_COLLECTIVES": "host"}
    run_ranks([ranks], "common:run", module, str(seed), "cuda", seconds=300, settings=settings)


def test_by_nccl(torch_with_cuda: int, run_ranks: RunRanks, seed: int) -> None:
    """On all GPUs of this machine."""
    settings = {"SMDDP_GPU_COLLECTIVES": "nccl"}
    run_ranks([torch_with_cuda], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.usefixtures("torch_with_cuda")
def test_two_hosts(run_ranks: RunRanks, seed: int) -> None:
    """Over tcp between ranks that are told to be on two hosts."""
    settings = {"SMDDP_GPU_COLLECTIVES": "host"}
    run_ranks([1, 1], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)

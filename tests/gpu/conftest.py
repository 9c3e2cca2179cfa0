"""Tests that need a GPU of NVIDIA's, its driver, and a torch with CUDA; elsewhere they are skipped and say why."""

from __future__ import annotations

import subprocess
import sys

import pytest
from integration.torch.conftest import _template, run_ranks  # noqa: F401 - fixtures

from smddp.cuda import kernels_path

from support.seeds import seed, show_seed  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def gpus() -> int:
    """How many there are."""
    # In a process of its own: a child that this one forks later could not use CUDA any more.
    code = "from smddp import _core; facts = _core.cuda_facts(); print(len(facts.devices), facts.problem)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    count, _, problem = told.strip().partition(" ")
    if count == "0":
        pytest.skip(f"no GPU: {problem}")
    return int(count)


@pytest.fixture(scope="session")
def torch_with_cuda(gpus: int) -> int:
    """Number of GPUs that torch can use."""
    asked = [sys.executable, "-c", "import torch; print(torch.cuda.device_count(), torch.__version__)"]
    count, version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    if count == "0":
        pytest.skip(f"{gpus} GPUs, but torch {version} is a build without CUDA, or cannot use them")
    return int(count)


@pytest.fixture(scope="session")
def kernels(torch_with_cuda: int) -> None:
    """Kernels of our own."""
    if not kernels_path():
        pytest.skip("smddp was built without kernels for GPUs: it found no nvcc")

"""Backend smddp with CUDA tensors: the cases of CPU tensors, and those of GPUs.

Ranks share the GPUs where there are fewer.
"""

from __future__ import annotations

import os
import signal

import pytest
from integration.torch.conftest import RunRanks

from support.world import World

pytestmark = pytest.mark.timeout(360)

MODULES = ("collectives", "coalesced", "layouts", "numbers", "functional", "asynchronous", "groups", "devices")
#: Enough ranks that two are left to tell who died.
DYING_RANKS = 3
#: In what NCCL, or smddp for it, says where it takes no several ranks of one GPU.
REFUSALS = ("share a GPU", "Duplicate GPU", "has no NCCL")


@pytest.fixture
def one_gpu(torch_with_cuda: int) -> dict[str, str]:
    """Settings with which all ranks share a GPU, the first that this process may use."""
    return {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.usefixtures("torch_with_cuda")
def test_through_host_memory(module: str, ranks: int, run_ranks: RunRanks, seed: int) -> None:
    """Bit for bit as on the CPU."""
    settings = {"SMDDP_GPU_COLLECTIVES": "host"}
    run_ranks([ranks], "common:run", module, str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("module", [*MODULES, "large"])
@pytest.mark.usefixtures("kernels")
def test_by_our_kernels_on_one_gpu(
    module: str, ranks: int, one_gpu: dict[str, str], run_ranks: RunRanks, seed: int
) -> None:
    """Bit for bit as on the CPU."""
    settings = {**one_gpu, "SMDDP_GPU_COLLECTIVES": "ipc"}
    run_ranks([ranks], "common:run", module, str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("module", [*MODULES, "large"])
@pytest.mark.usefixtures("kernels")
def test_by_our_kernels_on_gpus_of_their_own(
    module: str, ranks: int, torch_with_cuda: int, run_ranks: RunRanks, seed: int
) -> None:
    """Bit for bit as on the CPU."""
    need(torch_with_cuda, ranks)
    settings = {"SMDDP_GPU_COLLECTIVES": "ipc"}
    run_ranks([ranks], "common:run", module, str(seed), "cuda", seconds=300, settings=settings)


def test_by_nccl(torch_with_cuda: int, run_ranks: RunRanks, seed: int) -> None:
    """On all GPUs of this machine."""
    settings = {"SMDDP_GPU_COLLECTIVES": "nccl"}
    run_ranks([torch_with_cuda], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.parametrize("ranks", [2, 4])
def test_by_nccl_on_one_gpu(ranks: int, one_gpu: dict[str, str], run_ranks: RunRanks, seed: int) -> None:
    """NCCL 2.30 and newer can, and has to be told to."""
    settings = {**one_gpu, "SMDDP_GPU_COLLECTIVES": "nccl", "NCCL_MULTI_RANK_GPU_ENABLE": "1"}
    try:
        run_ranks([ranks], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)
    except AssertionError as error:
        told = [line for note in getattr(error, "__notes__", []) for line in note.splitlines()]
        refusal = next((line for line in told if any(text in line for text in REFUSALS)), None)
        if refusal is None:
            raise
        pytest.skip(f"NCCL refuses: {refusal.strip()}")


@pytest.mark.usefixtures("torch_with_cuda")
def test_two_hosts(run_ranks: RunRanks, seed: int) -> None:
    """Over tcp between ranks that are told to be on two hosts."""
    settings = {"SMDDP_GPU_COLLECTIVES": "host"}
    run_ranks([1, 1], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.usefixtures("kernels")
def test_hosts_in_levels_on_one_gpu(one_gpu: dict[str, str], run_ranks: RunRanks, seed: int) -> None:
    """Our kernels inside two hosts, as ranks share a GPU, and host memory between them."""
    settings = {**one_gpu, "SMDDP_GPU_COLLECTIVES": "hierarchical"}
    run_ranks([2, 2], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)


def test_hosts_in_levels_by_nccl(torch_with_cuda: int, run_ranks: RunRanks, seed: int) -> None:
    """Two GPUs are enough: each host has its ranks on both."""
    need(torch_with_cuda, 2)
    settings = {"SMDDP_GPU_COLLECTIVES": "hierarchical"}
    run_ranks([2, 2], "common:run", "devices", str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.parametrize("ranks", [1, 2])
def test_streams(ranks: int, way: str, torch_with_cuda: int, run_ranks: RunRanks, seed: int) -> None:
    """Their order, futures, limits of waiting, and under NCCL captures."""
    need_for(way, torch_with_cuda, ranks)
    settings = {"SMDDP_GPU_COLLECTIVES": way}
    run_ranks([ranks], "common:run", "streams", str(seed), "cuda", seconds=300, settings=settings)


@pytest.mark.parametrize("case", ["leaves_with_a_gpu_behind", "forked_children", "eager"])
def test_ends(case: str, way: str, torch_with_cuda: int, run_ranks: RunRanks, seed: int) -> None:
    need_for(way, torch_with_cuda, 2)
    settings = {"SMDDP_GPU_COLLECTIVES": way}
    run_ranks([2], f"streams:{case}", str(seed), "cuda", seconds=300, settings=settings)


def test_captures_after_the_end(torch_with_cuda: int, run_ranks: RunRanks, seed: int) -> None:
    need(torch_with_cuda, 2)
    settings = {"SMDDP_GPU_COLLECTIVES": "nccl"}
    run_ranks([2], "streams:captures_after_the_end", str(seed), "cuda", seconds=300, settings=settings)


def test_a_rank_dies_with_work_queued(way: str, torch_with_cuda: int) -> None:
    need_for(way, torch_with_cuda, DYING_RANKS)
    case = "integration.torch.cases.devices:dies_with_work_queued"
    env = {"SMDDP_GPU_COLLECTIVES": way}
    with World(DYING_RANKS, case, "cuda", env=env, seconds=200) as world:
        world.wait_for("ready")
        killed = world.signal(1, signal.SIGKILL)
        for rank in world.join(rank for rank in range(DYING_RANKS) if rank != 1):
            assert rank.returncode == 1
            assert any("rank 1 (" in line and "died" in line for line in rank.stderr.splitlines()), rank.stderr
            # Not its end: the driver takes its time to put a process's GPU in order.
            assert rank.last_output - killed < 5
        assert not world.processes_left()
        assert not world.files_left()


@pytest.fixture(params=["nccl", "ipc", "host"])
def way(request: pytest.FixtureRequest) -> str:
    """By what collectives go."""
    if request.param == "ipc":
        request.getfixturevalue("kernels")
    return str(request.param)


def need(gpus: int, wanted: int) -> None:
    if gpus < wanted:
        pytest.skip(f"needs {wanted} GPUs, and torch can use {gpus}")


def need_for(way: str, gpus: int, ranks: int) -> None:
    """NCCL wants a GPU for each rank."""
    if way == "nccl":
        need(gpus, ranks)

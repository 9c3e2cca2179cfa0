"""torch.distributed on backend smddp with tensors of a GPU, which is pretended."""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from pathlib import Path

import pytest
from integration.torch.conftest import RunRanks

from support.fake_libraries import fake_libraries, fake_settings
from support.jobs import REPOSITORY, run_job
from support.world import World

pytestmark = pytest.mark.timeout(180)  # the first may have to build the libraries

#: The cases of CPU tensors, bit for bit, through host memory.
SHAPES = [
    *[("collectives", hosts) for hosts in ([1], [3], [2, 1])],
    *[(module, [2]) for module in ("coalesced", "layouts", "numbers", "functional", "asynchronous", "groups")],
]


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    """Of all ranks."""
    return fake_settings()


def test_the_pretended_gpu_itself() -> None:
    """It computes, copies and trains as the CPU does, and its streams keep their order."""
    fake_libraries()
    run_job([sys.executable, "-m", "support.fake_gpu.smoke"], cwd=REPOSITORY / "tests", timeout=100).check()


def test_what_is_asked_of_drivers() -> None:
    """Of the pretended one, so that the questions are known to be right before a GPU is at hand."""
    env = {"LD_LIBRARY_PATH": str(fake_libraries()), "FAKE_GPU_COUNT": "1", **SHARED}
    done = run_job(
        [sys.executable, "-m", "support.driver_facts"], cwd=REPOSITORY / "tests", env=env, timeout=60
    ).check()
    assert json.loads(done.stdout) == {
        "64-bit words": True,
        "opening": {"waits for streams": False, "blocks other threads": False},
        "opened twice is the same": True,
        "ids differ": True,
        "closing": {"waits for streams": True, "blocks other threads": False},
        "closing what was freed": 0,
    }


#: Every rank takes its GPU for that of the others.
SHARED = {"FAKE_GPU_SHARED": "1"}
#: And has no other one.
ONE_GPU = {**SHARED, "FAKE_GPU_COUNT": "1"}


@pytest.mark.parametrize(("module", "hosts"), SHAPES, ids=str)
def test_cases(module: str, hosts: list[int], run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    run_ranks(hosts, "common:run", module, str(seed), "fakegpu", settings={**settings, "SMDDP_GPU_COLLECTIVES": "host"})


@pytest.mark.parametrize("module", ["collectives", "coalesced", "numbers", "functional", "large"])
def test_cases_by_kernels(module: str, run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    """Ranks that share a GPU, which NCCL refuses: kernels are what is taken then, and not asked for."""
    run_ranks([3], "common:run", module, str(seed), "fakegpu", settings={**settings, **SHARED})


@pytest.mark.parametrize("opens", ["on", "off", "some"])
def test_tensors_that_ranks_open(opens: str, run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    """Or keep to themselves, each as it likes."""
    case = ["open_tensors:one_rank_keeps_its_own"] if opens == "some" else ["common:run", "open_tensors"]
    own = {"SMDDP_GPU_OPEN_TENSORS": "off"} if opens == "off" else {}
    run_ranks([3], *case, str(seed), "fakegpu", settings={**settings, **SHARED, **own})


@pytest.mark.parametrize(
    ("hosts", "collectives"),
    [(hosts, by) for hosts in ([1], [2], [2, 1]) for by in ("nccl", "ipc", "host") if by != "ipc" or hosts == [2]],
    ids=str,
)
@pytest.mark.parametrize("module", ["streams", "devices"])
def test_gpu(
    hosts: list[int], module: str, collectives: str, run_ranks: RunRanks, seed: int, settings: dict[str, str]
) -> None:
    env = {**settings, "SMDDP_GPU_COLLECTIVES": collectives}
    run_ranks(hosts, "common:run", module, str(seed), "fakegpu", settings=env)


ENDS = [
    *[(case, by) for case in ("leaves_with_a_gpu_behind", "forked_children") for by in ("nccl", "ipc", "host")],
    ("captures_after_the_end", "nccl"),
]


@pytest.mark.parametrize(("case", "collectives"), ENDS)
def test_ends(case: str, collectives: str, run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    run_ranks([2], f"streams:{case}", str(seed), "fakegpu", settings={**settings, "SMDDP_GPU_COLLECTIVES": collectives})


@pytest.mark.parametrize("inside", ["nccl", "ipc"])
def test_hosts_in_levels(inside: str, run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    """NCCL inside two hosts, or kernels where all ranks share a GPU, and host memory between them."""
    sharing = ONE_GPU if inside == "ipc" else {}
    env = {**settings, **sharing, "SMDDP_GPU_COLLECTIVES": "hierarchical", "EXPECTED_WAY": f"{inside}+host"}
    run_ranks([2, 2], "common:run", "devices", str(seed), "fakegpu", settings=env)


@pytest.mark.parametrize("case", ["tensors", "device_id"])
def test_no_driver(case: str, run_ranks: RunRanks, seed: int) -> None:
    """What a torch with CUDA meets on a host whose driver is not there, or not seen by smddp."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        run_ranks([2], f"no_driver:{case}", str(seed), settings={"FAKE_CUDA_LIBRARY": str(hidden_driver())})
    else:
        pytest.skip("this machine has a CUDA driver")


def hidden_driver() -> Path:
    """For the pretended device alone."""
    return fake_libraries() / "libhidden_cuda.so"


@pytest.mark.parametrize("collectives", ["nccl", "ipc", "host"])
def test_device_from_the_start(collectives: str, run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    run_ranks([3], "streams:eager", str(seed), "fakegpu", settings={**settings, "SMDDP_GPU_COLLECTIVES": collectives})


@pytest.mark.parametrize(
    ("collectives", "hosts", "sharing"),
    [
        *[(collectives, [3], {}) for collectives in ("nccl", "ipc", "host")],
        *[("hierarchical", [2, 2], sharing) for sharing in ({}, ONE_GPU)],
    ],
    ids=["nccl", "ipc", "host", "nccl+host", "ipc+host"],
)
def test_a_rank_dies_with_work_queued(
    collectives: str, hosts: list[int], sharing: dict[str, str], settings: dict[str, str]
) -> None:
    env = {**settings, **sharing, "SMDDP_GPU_COLLECTIVES": collectives}
    places = hosts if len(hosts) > 1 else ()
    case = "integration.torch.cases.devices:dies_with_work_queued"
    with World(sum(hosts), case, "fakegpu", env=env, hosts=places) as world:
        world.wait_for("ready")
        killed = world.signal(1, signal.SIGKILL)
        for rank in world.join(rank for rank in range(world.size) if rank != 1):
            assert rank.returncode == 1
            assert "rank 1 (" in rank.last_line, rank.last_line
            assert "died" in rank.last_line, rank.last_line
            assert rank.ended - killed < 5
        assert not world.processes_left()
        assert not world.files_left()

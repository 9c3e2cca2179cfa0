"""TensorFlow's ops on the memory of a GPU, which is pretended."""

from __future__ import annotations

import signal

import pytest
from integration.tensorflow.conftest import RunRanks

from support.fake_libraries import fake_libraries, fake_settings
from support.processes import Template
from support.world import World

pytestmark = pytest.mark.timeout(180)  # the first may have to build the libraries

#: All ranks take their GPU for the same, which they have to share.
SHARED = {"FAKE_GPU_SHARED": "1", "FAKE_GPU_COUNT": "1"}
WAYS = {"nccl": {}, "ipc": SHARED, "host": SHARED}


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    """Of all ranks."""
    device = str(fake_libraries() / "libfake_tensorflow_device.so")
    return {**fake_settings(), "SMDDP_TENSORFLOW_GPU": "on", "FAKE_TENSORFLOW_DEVICE": device}


def way(name: str, settings: dict[str, str]) -> dict[str, str]:
    """Settings under which collectives go that way."""
    return {**settings, **WAYS[name], "SMDDP_GPU_COLLECTIVES": name}


@pytest.mark.parametrize("module", ["collectives", "gradients", "graphs", "joining"])
@pytest.mark.parametrize(("name", "size"), [("nccl", 2), ("ipc", 4), ("host", 2)])
def test_cases(module: str, name: str, size: int, run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    """Those of CPU tensors, bit for bit."""
    run_ranks(size, "gpus:run", module, str(seed), name, settings=way(name, settings))


def test_cases_of_one_rank(run_ranks: RunRanks, seed: int, settings: dict[str, str]) -> None:
    run_ranks(1, "gpus:run", "collectives", str(seed), "none", settings=settings)


@pytest.mark.parametrize("name", WAYS)
def test_results_stay_on_the_gpu(name: str, run_ranks: RunRanks, settings: dict[str, str]) -> None:
    run_ranks(2, "gpus:stays_there", name, settings=way(name, settings))


def test_a_build_with_cuda_needs_no_setting(run_ranks: RunRanks, settings: dict[str, str]) -> None:
    env = way("nccl", settings)
    del env["SMDDP_TENSORFLOW_GPU"]
    run_ranks(2, "gpus:stays_there", "nccl", settings=env)


@pytest.mark.parametrize("tensors", ["1", "3"])
@pytest.mark.parametrize("name", WAYS)
def test_killed_rank_is_named(name: str, tensors: str, template: Template, settings: dict[str, str]) -> None:
    env = {**way(name, settings), "TF_CPP_MIN_LOG_LEVEL": "2", "SMDDP_TIMEOUT": "30"}
    case = "integration.tensorflow.cases.gpus:reduces_for_ever"
    with World(3, case, tensors, starter=template, env=env, seconds=60) as world:
        world.wait_for("step 3")
        world.signal(1, signal.SIGKILL)
        ranks = world.join()
    assert ranks[1].returncode == -signal.SIGKILL
    for rank in (ranks[0], ranks[2]):
        assert rank.returncode == 1, rank.stderr
        assert "SMDDPPeerLostError" in rank.stderr
        assert "rank 1 " in rank.last_line
        assert rank.ended - ranks[1].ended < 5


def test_copies_to_host_memory_are_told_once(template: Template) -> None:
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", "SMDDP_TENSORFLOW_GPU": "off"}
    with World(2, "integration.tensorflow.cases.gpus:told_when_off", starter=template, env=env, seconds=50) as world:
        ranks = world.join()
    assert [rank.returncode for rank in ranks] == [0, 0]
    told = [rank.stderr.count("copies the GPU's tensors to host memory") for rank in ranks]
    assert told == [1, 0]

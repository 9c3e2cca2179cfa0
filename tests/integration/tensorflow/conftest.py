from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator

import pytest

from support.processes import Template
from support.world import Ended, World

#: `run_ranks(size, "module:function", *arguments)`: the case on so many ranks.
RunRanks = Callable[..., list[Ended]]

CASE_SECONDS = 50.0
#: Small, so that small tensors already take many rounds.
CHUNK_BYTES = "4KiB"


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """TensorFlow forks well as long as it has run nothing; the modules here only import it."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        template = Template("tensorflow", "keras", "smddp.tensorflow", "integration.tensorflow.cases.common")
    yield template
    template.close()


def unexpected(stderr: str) -> list[str]:
    """Lines that a good run does not print."""
    # What TensorFlow says of the processor, and that the cases trace the same function again and again.
    own_log = ("before absl::InitializeLog()", "oneDNN", "cpu_feature_guard", "triggered tf.function retracing")
    return [line for line in stderr.splitlines() if not any(text in line for text in own_log)]


@pytest.fixture
def run_ranks(template: Template) -> RunRanks:
    """Runs a case of the folder `cases` on ranks of its own; every rank must end well and warn of nothing."""

    def run(
        size: int,
        case: str,
        *arguments: str,
        seconds: float = CASE_SECONDS,
        timeout: str = "30",
    ) -> list[Ended]:
        env = {
            "SMDDP_CHUNK_BYTES": CHUNK_BYTES,
            "SMDDP_TIMEOUT": timeout,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_NUM_INTRAOP_THREADS": "1",
        }
        path = f"integration.tensorflow.cases.{case}"
        with World(size, path, *arguments, starter=template, env=env, seconds=seconds) as world:
            ended = world.join()
            for rank in ended:
                assert (rank.returncode, unexpected(rank.stderr)) == (0, []), f"rank {rank.rank} of {case}"
            return ended

    return run


@pytest.fixture(scope="session")
def seed() -> int:
    """Of all random values; shown with every failure. SMDDP_TEST_SEED repeats a run."""
    return int(os.environ.get("SMDDP_TEST_SEED") or secrets.randbits(32))


@pytest.fixture(autouse=True)
def _show_seed(seed: int) -> None:
    print(f"SMDDP_TEST_SEED={seed}")

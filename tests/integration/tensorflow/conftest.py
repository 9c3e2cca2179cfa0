from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping

import pytest

from support.good_ends import CASE_SECONDS, CHUNK_BYTES, run_well
from support.processes import Template
from support.seeds import seed, show_seed  # noqa: F401 - fixtures
from support.world import Ended, World

#: `run_ranks(size, "module:function", *arguments)`: the case on so many ranks.
RunRanks = Callable[..., list[Ended]]

# What TensorFlow says of the processor, and that the cases trace the same function again and again.
OWN_LOG = ("before absl::InitializeLog()", "oneDNN", "cpu_feature_guard", "triggered tf.function retracing")


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """TensorFlow forks well as long as it has run nothing; the modules here only import it."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        modules = ("tensorflow", "keras", "smddp.tensorflow", "integration.tensorflow.cases.common")
        template = Template(*modules, freeze=True)
    yield template
    template.close()


@pytest.fixture
def run_ranks(template: Template) -> RunRanks:
    """Runs a case of the folder `cases` on ranks of its own; every rank must end well and warn of nothing."""

    def run(
        size: int,
        case: str,
        *arguments: str,
        seconds: float = CASE_SECONDS,
        timeout: str = "30",
        settings: Mapping[str, str] | None = None,
    ) -> list[Ended]:
        env = {
            "SMDDP_CHUNK_BYTES": CHUNK_BYTES,
            "SMDDP_TIMEOUT": timeout,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_NUM_INTRAOP_THREADS": "1",
            **(settings or {}),
        }
        path = f"integration.tensorflow.cases.{case}"
        world = World(size, path, *arguments, starter=template, env=env, seconds=seconds)
        return run_well(world, OWN_LOG)

    return run

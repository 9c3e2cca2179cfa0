from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence

import pytest

from support.processes import Template
from support.world import Ended, World

#: `run_ranks(hosts, "module:function", *arguments)`: the case on as many ranks as `hosts` adds up to.
RunRanks = Callable[..., list[Ended]]

CASE_SECONDS = 50.0
#: Small, so that small tensors already take many rounds.
CHUNK_BYTES = "4KiB"


@pytest.fixture(scope="session")
def _template() -> Iterator[Template]:
    template = Template(
        "torch",
        "torch._dynamo",
        "torch.nn.parallel",
        "sklearn.datasets",
        "smddp.torch",
        "integration.torch.cases.common",
    )
    yield template
    template.close()


def unexpected(stderr: str) -> list[str]:
    """Lines that a good run does not print."""
    # torch's store looks names up for its own log, and a busy or absent name server is no failure; nor is a wait for a
    # key that ends without it. torch's profiler says when it starts and stops.
    own_log = ("hostname of the client socket", "[c10d] waitForInput", "SyncActivityProfilerHandler")
    return [line for line in stderr.splitlines() if not any(text in line for text in own_log)]


@pytest.fixture
def run_ranks(_template: Template) -> RunRanks:
    """Runs a case of the folder `cases` on ranks of its own; every rank must end well and warn of nothing."""

    def run(
        hosts: Sequence[int],
        case: str,
        *arguments: str,
        seconds: float = CASE_SECONDS,
        chunk_bytes: str = CHUNK_BYTES,
    ) -> list[Ended]:
        places = hosts if len(hosts) > 1 else ()
        path = f"integration.torch.cases.{case}"
        env = {"SMDDP_CHUNK_BYTES": chunk_bytes}
        with World(sum(hosts), path, *arguments, starter=_template, hosts=places, env=env, seconds=seconds) as world:
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

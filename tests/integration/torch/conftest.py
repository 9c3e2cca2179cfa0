from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from support.good_ends import CASE_SECONDS, CHUNK_BYTES, run_well
from support.processes import Template
from support.seeds import seed, show_seed  # noqa: F401 - fixtures
from support.world import Ended, World

#: `run_ranks(hosts, "module:function", *arguments)`: the case on as many ranks as `hosts` adds up to.
RunRanks = Callable[..., list[Ended]]

# torch's store looks names up for its own log, and a busy or absent name server is no failure; nor is a wait for a key
# that ends without it. torch's profiler says when it starts and stops, and DDP that it keeps no times on devices it
# does not know.
OWN_LOG = (
    *("hostname of the client socket", "[c10d] waitForInput", "SyncActivityProfilerHandler"),
    "Time stats are currently only collected",
)


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


@pytest.fixture
def run_ranks(_template: Template) -> RunRanks:
    """Runs a case of the folder `cases` on ranks of its own; every rank must end well and warn of nothing."""

    def run(
        hosts: Sequence[int],
        case: str,
        *arguments: str,
        seconds: float = CASE_SECONDS,
        chunk_bytes: str = CHUNK_BYTES,
        settings: Mapping[str, str] | None = None,
    ) -> list[Ended]:
        places = hosts if len(hosts) > 1 else ()
        path = f"integration.torch.cases.{case}"
        env = {"SMDDP_CHUNK_BYTES": chunk_bytes, **(settings or {})}
        world = World(sum(hosts), path, *arguments, starter=_template, hosts=places, env=env, seconds=seconds)
        return run_well(world, OWN_LOG)

    return run

"""The same collectives through `smddp.init()`, each rank a process as a launcher starts it."""

from __future__ import annotations

import pytest
from conformance.worlds import skip_without

from support.world import World


@pytest.mark.parametrize(
    ("hosts", "transport"), [([1], "none"), ([2], "shm"), ([4], "shm"), ([2, 1], "shm+tcp"), ([1, 1], "tcp")]
)
def test_one_job(hosts: list[int], transport: str, seed: int) -> None:
    arguments = (str(seed), ",".join(map(str, hosts)), transport)
    with World(sum(hosts), "conformance.rank_cases:all_collectives", *arguments, hosts=hosts) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stdout, rank.stderr) == (0, "passed\n", ""), world.report()


@pytest.mark.parametrize("transport", ["tcp", "ofi"])
def test_one_transport_inside_a_host(transport: str, seed: int) -> None:
    skip_without(transport)
    arguments = (str(seed), "1,1,1", transport)
    env = {"SMDDP_TRANSPORT": transport, "SMDDP_OFI_PROVIDER": "tcp"}
    with World(3, "conformance.rank_cases:all_collectives", *arguments, env=env) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stdout, rank.stderr) == (0, "passed\n", ""), world.report()


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_registered_memory(ranks: int, seed: int) -> None:
    with World(ranks, "conformance.rank_cases:registered_memory", str(seed)) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stdout, rank.stderr) == (0, "passed\n", ""), world.report()


def test_libfabric_leaves_signals_alone() -> None:
    """Some of its providers' libraries take over SIGTERM, SIGINT and SIGSEGV as they are loaded."""
    skip_without("ofi")
    env = {"SMDDP_TRANSPORT": "ofi", "SMDDP_OFI_PROVIDER": "tcp"}
    with World(2, "conformance.rank_cases:signals_are_kept", env=env) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stdout, rank.stderr) == (0, "passed\n", ""), world.report()

"""torch.distributed on backend smddp: collectives, work, groups."""

from __future__ import annotations

import pytest
from integration.torch.conftest import RunRanks

#: Ranks of each host. A world of one, several, and two hosts; what more shapes there are is the conformance suite's.
SHAPES = [
    *[("collectives", hosts) for hosts in ([1], [4], [2, 1])],
    *[("coalesced", hosts) for hosts in ([1], [3], [2, 1])],
    *[("layouts", hosts) for hosts in ([1], [4], [2, 1])],
    *[("numbers", hosts) for hosts in ([1], [3], [2, 2])],
    *[("functional", hosts) for hosts in ([3], [1, 1])],
    *[("asynchronous", hosts) for hosts in ([1], [4], [2, 1])],
    *[("groups", hosts) for hosts in ([4], [2, 1])],
]


@pytest.mark.parametrize(("module", "hosts"), SHAPES, ids=str)
def test_cases(module: str, hosts: list[int], run_ranks: RunRanks, seed: int) -> None:
    run_ranks(hosts, "common:run", module, str(seed))


@pytest.mark.slow
def test_ten_thousand_operations_in_windows(run_ranks: RunRanks, seed: int) -> None:
    run_ranks([2], "common:run", "volume", str(seed), chunk_bytes="256KiB")

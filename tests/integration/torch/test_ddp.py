"""torch's DistributedDataParallel on backend smddp."""

from __future__ import annotations

import pytest
from integration.torch.conftest import RunRanks


@pytest.mark.parametrize("hosts", [[1], [2], [4], [2, 1]], ids=str)
def test_ddp(hosts: list[int], run_ranks: RunRanks, seed: int) -> None:
    run_ranks(hosts, "common:run", "ddp", str(seed))


@pytest.mark.parametrize("hosts", [[4], [2, 2], [1, 1, 1, 1]], ids=str)
def test_gradients_in_16_bits_are_the_same_on_aligned_hosts(hosts: list[int], run_ranks: RunRanks, seed: int) -> None:
    run_ranks(hosts, "common:run", "partials", str(seed), settings={"SMDDP_PARTIALS": "fp32"})

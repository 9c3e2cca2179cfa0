"""torch's DistributedDataParallel on backend smddp."""

from __future__ import annotations

import pytest
from integration.torch.conftest import RunRanks


@pytest.mark.parametrize("hosts", [[1], [2], [4], [2, 1]], ids=str)
def test_ddp(hosts: list[int], run_ranks: RunRanks, seed: int) -> None:
    run_ranks(hosts, "common:run", "ddp", str(seed))

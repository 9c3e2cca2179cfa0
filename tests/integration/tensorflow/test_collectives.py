"""Collectives of smddp.tensorflow and their gradients."""

from __future__ import annotations

import pytest
from integration.tensorflow.conftest import RunRanks


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("module", ["collectives", "gradients", "graphs", "joining"])
def test_cases(module: str, size: int, run_ranks: RunRanks, seed: int) -> None:
    run_ranks(size, "common:run", module, str(seed))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3])
def test_fit(size: int, run_ranks: RunRanks, seed: int) -> None:
    run_ranks(size, "common:run", "fit", str(seed))


def test_bucket_plans(run_ranks: RunRanks, seed: int) -> None:
    run_ranks(1, "common:run", "buckets", str(seed))

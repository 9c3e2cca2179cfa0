"""The original's contract (see cases/contract.py)."""

from __future__ import annotations

import pytest
from integration.tensorflow.conftest import RunRanks


def test_names_and_calls_before_init(run_ranks: RunRanks) -> None:
    run_ranks(1, "contract:before_init")


@pytest.mark.parametrize("size", [1, 2])
def test_calls_after_init(size: int, run_ranks: RunRanks) -> None:
    run_ranks(size, "contract:after_init")

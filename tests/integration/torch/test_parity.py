"""Training on 4 ranks is training on one process with the same global batch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from integration.torch.conftest import RunRanks

Results = dict[str, dict[str, Any]]  # by dtype

#: Largest relative difference of loss and parameters, after 100 and 50 steps.
TOLERANCE = {"torch.float64": 1e-10, "torch.float32": 1e-4}


def train(run_ranks: RunRanks, hosts: list[int], wrapper: str) -> list[Results]:
    """Results by rank."""
    ended = run_ranks(hosts, f"training:{wrapper}", "")
    reports = [[json.loads(line) for line in rank.stdout.splitlines()] for rank in ended]
    return [{report["dtype"]: report for report in of_rank} for of_rank in reports]


@pytest.mark.parametrize("hosts", [[4], [2, 2]], ids=str)
@pytest.mark.parametrize("wrapper", ["plain", "older"])
def test_parity(wrapper: str, hosts: list[int], run_ranks: RunRanks) -> None:
    (single,) = train(run_ranks, [1], "alone")
    ranks = train(run_ranks, hosts, wrapper)
    for dtype, tolerance in TOLERANCE.items():
        expected = single[dtype]
        assert expected["losses"][-1] < 0.2 * expected["losses"][0], "the reference run did not learn"
        assert len({rank[dtype]["bits"] for rank in ranks}) == 1, f"{dtype}: ranks differ"
        for key in ("losses", "parameters"):
            np.testing.assert_allclose(ranks[0][dtype][key], expected[key], rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["plain", "older"])
def test_two_runs_give_equal_bits(wrapper: str, run_ranks: RunRanks) -> None:
    first, second = (train(run_ranks, [4], wrapper)[0] for _ in range(2))
    for dtype in TOLERANCE:
        assert first[dtype]["bits"] == second[dtype]["bits"]
        assert first[dtype]["losses"] == second[dtype]["losses"]

"""Training on 4 ranks is training on one process with the same global batch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from integration.tensorflow.conftest import RunRanks

#: Largest difference of losses and weights after all steps.
TOLERANCE = 1e-5


def train(run_ranks: RunRanks, size: int, case: str, *arguments: str) -> list[dict[str, Any]]:
    """Results by rank."""
    return [json.loads(rank.stdout) for rank in run_ranks(size, f"training:{case}", *arguments)]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("case", "form"),
    [
        ("taped", "dense"),
        ("taped", "sparse"),
        ("taped", "eager"),
        ("optimized", "dense"),
        ("optimized", "sparse"),
        ("fitted", ""),
    ],
)
def test_parity(case: str, form: str, run_ranks: RunRanks, results: dict[str, Any]) -> None:
    if "alone" not in results:
        (results["alone"],) = train(run_ranks, 1, "alone")
    expected, ranks = results["alone"], train(run_ranks, 4, case, form)
    assert expected["losses"][-1] < 0.7 * expected["losses"][0], "the reference run did not learn"
    assert len({rank["bits"] for rank in ranks}) == 1, "ranks differ"
    for key in ("losses", "weights") if case != "fitted" else ("weights",):
        np.testing.assert_allclose(ranks[0][key], expected[key], rtol=0, atol=TOLERANCE)

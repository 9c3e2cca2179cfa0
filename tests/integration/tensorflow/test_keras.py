"""`smddp.tensorflow.keras`: callbacks, checkpoints, and the older Keras."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from integration.tensorflow.conftest import RunRanks


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 4])
def test_callbacks(size: int, run_ranks: RunRanks, seed: int) -> None:
    run_ranks(size, "common:run", "keras_callbacks", str(seed))


def test_different_metrics_are_named_on_every_rank(run_ranks: RunRanks) -> None:
    for rank in run_ranks(3, "keras_callbacks:different_metrics", ""):
        assert "SMDDPMismatchError" in rank.stdout, rank.stdout
        assert re.search("of 'loss(, recall)?'", rank.stdout), rank.stdout


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tf_keras") is None, reason="tf_keras is not installed")
@pytest.mark.parametrize("size", [1, 3])
def test_legacy_keras(size: int, run_ranks: RunRanks, seed: int) -> None:
    run_ranks(size, "common:run", "legacy_keras", str(seed))


@pytest.mark.timeout(120)
def test_training_goes_on_from_a_checkpoint_of_rank_0(run_ranks: RunRanks, tmp_path: Path) -> None:
    expected = json.loads(run_ranks(2, "checkpoints:uninterrupted", "")[0].stdout)
    run_ranks(2, "checkpoints:first_half", str(tmp_path))
    for way in ("recompiled", "in place", "restored"):
        for rank in run_ranks(2, "checkpoints:second_half", str(tmp_path), way):
            np.testing.assert_allclose(json.loads(rank.stdout), expected, rtol=0, atol=1e-6, err_msg=way)

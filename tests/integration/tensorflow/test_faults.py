"""Ranks that do not do the same: every one is told so, by name."""

from __future__ import annotations

import re

import pytest
from integration.tensorflow.conftest import RunRanks

WAYS = ("eager", "graph")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("case", "named"), [("variable_without_gradient", "head/kernel"), ("variable_is_left_out", "encoder/kernel")]
)
def test_skipped_variable_is_named_on_every_rank(case: str, named: str, way: str, run_ranks: RunRanks) -> None:
    for rank in run_ranks(3, f"faults:{case}", way):
        assert re.search(r"SMDDPMismatchError:? rank \d", rank.stdout), rank.stdout
        assert named in rank.stdout


@pytest.mark.parametrize("way", WAYS)
def test_absent_rank_is_named_at_the_deadline(way: str, run_ranks: RunRanks) -> None:
    for rank in run_ranks(3, "faults:rank_stays_away", way, timeout="2"):
        assert "SMDDPTimeoutError" in rank.stdout, rank.stdout
        assert "rank 2" in rank.stdout


@pytest.mark.parametrize("way", WAYS)
def test_table_without_rows_is_named_at_the_deadline(way: str, run_ranks: RunRanks) -> None:
    for rank in run_ranks(3, "faults:rows_of_one_rank_are_missing", way, timeout="2"):
        assert "SMDDPTimeoutError" in rank.stdout, rank.stdout
        assert "words/table" in rank.stdout


@pytest.mark.parametrize("way", WAYS)
def test_rank_that_has_joined_and_what_it_cannot_do_are_named_on_every_rank(way: str, run_ranks: RunRanks) -> None:
    for rank in run_ranks(3, "faults:gathering_after_a_join", way):
        told = r"SMDDPStateError:? rank \d.* rank 2 \(.*\): has joined, .*; rank 0 runs all_gather '.*allgather"
        assert re.search(told, rank.stdout), rank.stdout

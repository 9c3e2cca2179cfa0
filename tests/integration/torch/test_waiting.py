"""monitored_barrier and barrier say who did not come."""

from __future__ import annotations

import pytest
from integration.torch.conftest import RunRanks


@pytest.mark.parametrize("hosts", [[1], [2], [4], [2, 2], [1, 1]], ids=str)
def test_all_come(hosts: list[int], run_ranks: RunRanks) -> None:
    for rank in run_ranks(hosts, "waiting:all_come", "0"):
        assert rank.stdout == "passed\n"


def test_all_come_in_detailed_debug_mode(run_ranks: RunRanks) -> None:
    for rank in run_ranks([2], "waiting:behind_torchs_wrapper", "0"):
        assert rank.stdout == "passed\n"


@pytest.mark.parametrize("connected", ["yes", "no"])
@pytest.mark.parametrize("hosts", [[4], [2, 2]], ids=str)
def test_the_missing_are_named(hosts: list[int], connected: str, run_ranks: RunRanks) -> None:
    first, second, *_ = run_ranks(hosts, "waiting:some_are_missing", "2,3", "no", connected)
    assert first.stdout.startswith("SMDDPTimeoutError: rank 0 (")
    assert ": Rank 2 failed to pass monitoredBarrier in 1000 ms" in first.stdout
    assert "Rank 1 successfully reached monitoredBarrier, but received errors" in second.stdout
    assert "while waiting for send/recv from rank 0." in second.stdout
    assert "rank 2" in second.stdout


@pytest.mark.parametrize("connected", ["yes", "no"])
@pytest.mark.parametrize("hosts", [[3], [1, 2]], ids=str)
def test_all_missing_are_named(hosts: list[int], connected: str, run_ranks: RunRanks) -> None:
    first = run_ranks(hosts, "waiting:some_are_missing", "1,2", "yes", connected)[0]
    assert ": Ranks 1, 2 failed to pass monitoredBarrier in 1000 ms" in first.stdout


def test_no_time(run_ranks: RunRanks) -> None:
    for rank in run_ranks([2], "waiting:no_time", "0"):
        assert f"Rank {rank.rank} timed out in monitoredBarrier after 0 ms" in rank.stdout


def test_a_barrier_names_the_missing_and_its_timeout(run_ranks: RunRanks) -> None:
    first = run_ranks([2], "waiting:plain_barrier", "0")[0]
    assert "missing: rank 1 (" in first.stdout
    assert first.stdout.endswith("(the timeout is 1000 ms on this rank)\n")

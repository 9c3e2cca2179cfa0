"""PyTorch's own tests of distributed backends, on smddp and, for comparison, on gloo."""

from __future__ import annotations

import pytest

from upstream.known import KNOWN
from upstream.page import PAGE, render
from upstream.runs import PAIR_SECONDS, WORLD_SIZES, Run, Runs

# The first test of a session waits for all runs.
pytestmark = [pytest.mark.upstream, pytest.mark.timeout((len(WORLD_SIZES) + 1) * PAIR_SECONDS)]
#: Of gloo's time. Both take the same, within a tenth: most of it passes in starting processes, which a busy machine
#: draws out. What is far from it stalls.
MOST_OF_GLOO = 1.5


def failures(run: Run) -> dict[str, str]:
    """What the errors say, by test."""
    return {name: result.reason for name, result in run.items() if result.outcome in ("fail", "error")}


def passes(run: Run) -> set[str]:
    return {name for name, result in run.items() if result.outcome == "pass"}


@pytest.mark.parametrize("size", WORLD_SIZES)
def test_what_gloo_passes_we_pass(runs: Runs, size: int) -> None:
    missing = passes(runs["gloo", size]) - passes(runs["smddp", size]) - KNOWN.keys()
    assert {name: runs["smddp", size][name] for name in sorted(missing)} == {}


@pytest.mark.parametrize("size", WORLD_SIZES)
def test_what_runs_passes(runs: Runs, size: int) -> None:
    failed = failures(runs["smddp", size])
    assert {name: failed[name] for name in sorted(failed.keys() - KNOWN.keys())} == {}


def test_known_failures_fail_wherever_they_run(runs: Runs) -> None:
    ours = [runs["smddp", size] for size in WORLD_SIZES]
    passed = set().union(*(passes(run) for run in ours))
    failed = set().union(*(failures(run) for run in ours))
    assert KNOWN.keys() & passed == set(), "these pass now: remove them from tests/upstream/known.py"
    assert KNOWN.keys() - failed == set(), "these do not run: remove them from tests/upstream/known.py"


def test_the_page_says_what_the_tests_say(runs: Runs) -> None:
    assert PAGE.read_text(encoding="utf-8") == render(runs), "run: make parity"


@pytest.mark.parametrize("size", WORLD_SIZES)
def test_what_both_pass_takes_about_the_same_time(runs: Runs, size: int) -> None:
    gloo, smddp = runs["gloo", size], runs["smddp", size]
    both = passes(gloo) & passes(smddp)
    ratio = sum(smddp[name].seconds for name in both) / sum(gloo[name].seconds for name in both)
    print(f"\n{size} ranks: {len(both)} tests take {ratio:.2f} of gloo's time (at most {MOST_OF_GLOO})")
    assert ratio <= MOST_OF_GLOO

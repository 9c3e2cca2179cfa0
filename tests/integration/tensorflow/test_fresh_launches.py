"""A job must not fail once in fifty starts: many launches in a row, each with new processes and a new world.

SMDDP_TEST_LAUNCHES sets how many launches make test-repeat does in place of 50, and how many of whole programs there
are in place of 3.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

import pytest
from integration.tensorflow.conftest import RunRanks

from support.busy import busy_processors
from support.jobs import BIN, REPOSITORY, run_job

FEW_LAUNCHES = 3
# Read before the fixture that clears such variables.
LAUNCHES = int(os.environ.get("SMDDP_TEST_LAUNCHES", "50"))
PROGRAM_LAUNCHES = int(os.environ.get("SMDDP_TEST_LAUNCHES", "3"))
#: Deadline of one launch, which takes about half a second on an idle machine, and of each of its collectives.
SECONDS, COLLECTIVE_SECONDS = 30.0, 15
PROGRAM_SECONDS = 100.0
EXAMPLE = REPOSITORY / "examples" / "04_tensorflow_tape_digits.py"


@pytest.mark.slow
@pytest.mark.timeout(60 + LAUNCHES * SECONDS)
@pytest.mark.parametrize("launches", [FEW_LAUNCHES, pytest.param(LAUNCHES, marks=pytest.mark.repeat)])
@pytest.mark.parametrize("load", ["idle", "busy"])
@pytest.mark.parametrize("size", [2, 4])
def test_ranks(size: int, load: str, launches: int, run_ranks: RunRanks) -> None:
    """With nothing else running, or with all other processors busy."""
    with busy_processors() if load == "busy" else contextlib.nullcontext():
        first = 0 if load == "idle" else LAUNCHES  # for other numbers
        for launch in range(first, first + launches):
            try:
                run_ranks(size, "fresh:train", str(launch), seconds=SECONDS, timeout=str(COLLECTIVE_SECONDS))
            except AssertionError as problem:
                problem.add_note(f"launch {launch} of {first} to {first + launches - 1}")
                raise


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(60 + PROGRAM_LAUNCHES * PROGRAM_SECONDS)
@pytest.mark.parametrize("size", [2, 4])
def test_programs(size: int) -> None:
    """Interpreters of their own, started as users start them."""
    pytest.importorskip("tensorflow")
    command = [BIN / "smddprun", "-np", str(size), sys.executable, EXAMPLE, "--epochs", "1"]
    for launch in range(PROGRAM_LAUNCHES):
        job = run_job(command, timeout=PROGRAM_SECONDS)
        assert job.returncode == 0, f"launch {launch}\n{job.stdout}\n{job.stderr}"
        assert re.search(rf"^test accuracy [\d.]+, {size} ranks, ", job.last_line), f"launch {launch}\n{job.stdout}"

"""What our kernels need of the driver, and its documentation leaves open."""

from __future__ import annotations

import json
import sys

import pytest

from support.jobs import REPOSITORY, run_job

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("gpus")]


def test_shared_memory() -> None:
    """Closing it may wait for all streams (smddp closes it when none waits for other ranks); opening it may not."""
    done = run_job([sys.executable, "-m", "support.driver_facts"], cwd=REPOSITORY / "tests", timeout=100).check()
    facts = json.loads(done.stdout)
    print(facts)
    assert facts["64-bit words"]
    assert facts["opening"] == {"waits for streams": False, "blocks other threads": False}
    assert facts["opened twice is the same"]
    assert facts["ids differ"]
    assert facts["closing what was freed"] == 0

"""How long a training step waits for the other ranks, beside gloo in the same run; run with -m perf."""

from __future__ import annotations

import re
import sys

import pytest

from support.jobs import BIN, REPOSITORY, run_job

pytestmark = [pytest.mark.perf, pytest.mark.timeout(400)]

EXAMPLE = REPOSITORY / "examples" / "06_exposed_communication.py"
#: Exposed communication of a step of 25 million parameters, of gloo's; 2 ranks.
MOST_OF_GLOO = 0.25


def test_exposed_communication_is_a_fraction_of_gloos() -> None:
    job = run_job(
        [BIN / "smddprun", "-np", "2", sys.executable, EXAMPLE, "--backends", "smddp", "gloo"], timeout=300
    ).check()
    print(job.stdout)
    rows = re.findall(r"^(DDP|FSDP2) +(smddp|gloo) +[\d.]+ +[\d.]+ +(-?[\d.]+)$", job.stdout, re.MULTILINE)
    exposed = {(wrapper, backend): float(time) for wrapper, backend, time in rows}
    for wrapper in ("DDP", "FSDP2"):
        assert exposed[wrapper, "gloo"] > 0
        ratio = exposed[wrapper, "smddp"] / exposed[wrapper, "gloo"]
        print(f"exposed communication of {wrapper}: {ratio:.2f} of gloo's (at most {MOST_OF_GLOO})")
        assert ratio <= MOST_OF_GLOO

"""Many ranks on one host meet soon after the last of them is up."""

from __future__ import annotations

import re
import sys

import pytest

from support.jobs import BIN, run_job

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

RANKS = 64
#: From the last rank's start to the last one's return from init, on any machine.
SECONDS = 3.0

PROGRAM = """
import time
import numpy, smddp
times = [time.time()]
group = smddp.init()
times.append(time.time())
gathered = numpy.zeros(2 * group.size)
group.all_gather(gathered, numpy.array(times))
begins, ends = gathered.reshape(-1, 2).T
if group.rank == 0:
    print(f"all met after {ends.max() - begins.max():.2f} s")
"""


def test_sixty_four_ranks_meet_within_seconds() -> None:
    job = run_job([BIN / "smddprun", "-np", str(RANKS), sys.executable, "-c", PROGRAM], timeout=200).check()
    print(job.stdout)
    met = re.search(r"all met after ([\d.]+) s", job.stdout)
    assert met is not None
    assert float(met[1]) <= SECONDS

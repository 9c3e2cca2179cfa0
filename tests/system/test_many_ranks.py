"""Many ranks meet soon after the last of them is up, and a peer does not take much memory."""

from __future__ import annotations

import contextlib
import re
import sys

import numpy as np
import pytest

from support.jobs import BIN, run_job
from support.processes import Template
from support.world import World

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


#: Each on a host of its own, for the slope between them.
FEW, MANY = 72, 112
#: Of this process, for one more peer. Over ofi 48 KiB are the engine's (test_transport holds that), and the rest is
#: what the provider, `tcp;ofi_rxm`, keeps for a connection.
MOST_BYTES_PER_PEER = {"tcp": 64 << 10, "ofi": 128 << 10}


@pytest.mark.slow
@pytest.mark.parametrize("transport", MOST_BYTES_PER_PEER)
def test_memory_for_each_peer(transport: str) -> None:
    with contextlib.closing(Template("system.rank_cases")) as template:
        few, many = (private_bytes(template, size, transport) for size in (FEW, MANY))
    per_peer = (many - few) / (MANY - FEW)
    print(f"{transport}: {per_peer / 1024:.1f} KiB for each peer; {per_peer * 1023 / 2**20:.1f} MiB for 1,023 of them")
    assert 0 < per_peer < MOST_BYTES_PER_PEER[transport]


def private_bytes(template: Template, size: int, transport: str) -> float:
    """What a rank has taken after it has exchanged something with every other; the median of all."""
    env = {"SMDDP_TRANSPORT": transport}
    case = "system.rank_cases:memory"
    with World(size, case, starter=template, hosts=(1,) * size, env=env, seconds=200) as world:
        ended = world.join()
    assert [rank.returncode for rank in ended] == [0] * size, ended[0].stderr
    return float(np.median([int(rank.stdout) for rank in ended]))

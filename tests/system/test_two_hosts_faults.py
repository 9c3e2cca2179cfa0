"""What ranks on both of two hosts say when a rank dies or stands still, or the cable of one host is cut."""

from __future__ import annotations

import re
import signal

import pytest
from system.conftest import TWO_HOSTS

from support.netlab.lab import Lab
from support.world import Ended, World

LOOP = "integration.faults.cases.training:numpy_loop"
#: By rank.
PLACES = tuple(name for name in TWO_HOSTS.names for _ in range(2))
#: Deadline of an operation, and what may pass until its error is raised.
TIMEOUT, GRACE = 5.0, 5.0

pytestmark = pytest.mark.timeout(120)


def loop(hosts: Lab, timeout: float) -> World:
    """2 + 2 ranks that call collectives until something goes wrong."""
    return World(4, LOOP, str(timeout), starter=hosts, hosts=(2, 2), seconds=100)


def raised(rank: Ended, kind: str, *, since: float, within: float) -> str:
    """The rank let an error of this kind through, in time; returns its text without the rank's own name."""
    told = re.search(r"^raised (\w+) .*at (\S+)$", rank.stdout, re.MULTILINE)
    assert told, f"rank {rank.rank} raised nothing"
    assert re.fullmatch(kind, told[1]), f"rank {rank.rank} raised {told[1]}"
    assert float(told[2]) - since < within, f"rank {rank.rank} raised after {float(told[2]) - since:.1f} s"
    assert rank.returncode == 1
    start = f"{told[1]}: rank {rank.rank} ({PLACES[rank.rank]}): "
    assert rank.last_line.startswith(start), f"{rank.last_line!r} does not start with {start!r}"
    return rank.last_line.removeprefix(start)


def named(message: str) -> set[tuple[int, str]]:
    """Ranks that a message names, with their hosts."""
    return {(int(rank), host) for rank, host in re.findall(r"\brank (\d+) \((\w+)", message)}


@pytest.mark.parametrize("victim", [2, 3])
def test_killed_on_the_other_host(hosts: Lab, victim: int) -> None:
    with loop(hosts, 30) as world:
        world.wait_for("step 3")
        killed = world.signal(victim, signal.SIGKILL)
        for rank in world.join(set(range(4)) - {victim}):
            message = raised(rank, "SMDDPPeerLostError", since=killed, within=5)
            assert named(message) == {(victim, "node1")}, f"rank {rank.rank}: {message}"


@pytest.mark.parametrize("victim", [1, 3])
def test_exception_is_told_on_both_hosts(hosts: Lab, victim: int) -> None:
    case = "integration.faults.cases.training:until_step"
    with World(4, case, "30", str(victim), "40", "exception", starter=hosts, hosts=(2, 2), seconds=100) as world:
        ranks = world.join()
        for rank in ranks:
            if rank.rank == victim:
                assert rank.last_line == 'KeyError: "an error of the user\'s own"'
                continue
            message = raised(rank, "SMDDPPeerLostError", since=ranks[victim].ended, within=5)
            left = rf"rank {victim} \({PLACES[victim]}, pid \d+\) left the group after \d+ operations"
            assert re.search(left + ': KeyError: "an error of the user\'s own"$', message), message


def test_stopped_on_the_other_host(hosts: Lab) -> None:
    with loop(hosts, TIMEOUT) as world:
        world.wait_for("step 3")
        stopped = world.signal(3, signal.SIGSTOP)
        for rank in world.join(range(3)):
            message = raised(rank, "SMDDPTimeoutError", since=stopped, within=TIMEOUT + GRACE)
            assert (3, "node1") in named(message), f"rank {rank.rank}: {message}"


def test_cable_cut(hosts: Lab) -> None:
    with loop(hosts, TIMEOUT) as world:
        world.wait_for("step 3")
        cut = hosts.cut(1)
        for rank in world.join():
            message = raised(rank, "SMDDP(Timeout|PeerLost)Error", since=cut, within=TIMEOUT + GRACE)
            others = {(other, place) for other, place in enumerate(PLACES) if place != PLACES[rank.rank]}
            assert named(message), f"rank {rank.rank} names nobody: {message}"
            assert named(message) <= others, f"rank {rank.rank} blames ranks of its own host: {message}"

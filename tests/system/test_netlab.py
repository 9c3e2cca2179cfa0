"""The network laboratory itself: what its hosts reach, how fast, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.jobs import REPOSITORY, run_job
from support.netlab.lab import SECONDS, Lab, netlab
from support.netlab.spec import LabSpec
from support.netlab.stream import send_stream
from support.processes import Template
from support.world import World

pytestmark = pytest.mark.timeout(100)

BY_HAND = [sys.executable, "-m", "tests.support.netlab"]
#: Nobody listens on port 9, so a host that is reached refuses.
PROBE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=1)
except ConnectionRefusedError:
    print("reached")
except OSError as problem:
    print(problem)
"""


@pytest.fixture
def two_rails(hosts_possible: None) -> Iterator[Lab]:
    """Three hosts, and two rails whose NICs have rates of their own."""
    with netlab(LabSpec(hosts=3, rails=(200_000_000, None), slower={(2, 0): 50_000_000})) as lab:
        yield lab


def reached(lab: Lab, host: int, other: int) -> list[bool]:
    """Whether a host reaches another one, by rail."""
    addresses = [lab.spec.address(other, rail) for rail in range(len(lab.spec.rails))]
    return [lab.run(host, sys.executable, "-c", PROBE, address).strip() == "reached" for address in addresses]


def test_each_rail_is_a_network(two_rails: Lab) -> None:
    assert two_rails.run(1, "ls", "/sys/class/net").split() == ["eth0", "eth1", "lo"]
    assert reached(two_rails, 1, 2) == reached(two_rails, 2, 0) == [True, True]
    routes = [two_rails.run(0, "ip", "route", "get", two_rails.spec.address(1, rail)) for rail in (0, 1)]
    assert ["dev eth0 src 10.0.0.1" in routes[0], "dev eth1 src 10.0.1.1" in routes[1]] == [True, True]


def test_cut_and_restored(two_rails: Lab) -> None:
    two_rails.cut(1, rail=0)
    assert reached(two_rails, 0, 1) == [False, True]
    assert reached(two_rails, 0, 2) == [True, True]
    assert [two_rails.run(1, "cat", f"/sys/class/net/{nic}/carrier").strip() for nic in ("eth0", "eth1")] == ["0", "1"]
    two_rails.restore(1, rail=0)
    assert reached(two_rails, 0, 1) == [True, True]
    two_rails.cut(1)
    assert reached(two_rails, 1, 2) == [False, False]
    two_rails.restore(1)
    assert reached(two_rails, 1, 0) == [True, True]


def test_links_are_no_faster_than_their_rate(two_rails: Lab) -> None:
    """How near they come to it depends on the machine; tests/perf looks at that."""
    for target, rate in ((1, 200e6), (2, 50e6)):
        before = two_rails.traffic(0)[0].sent
        achieved = send_stream(two_rails, 0, target, seconds=1.5)
        assert 0.5 * rate < achieved < rate
        assert two_rails.traffic(0)[0].sent - before > achieved / 8
    two_rails.set_rate(1, 0, 100_000_000)
    assert send_stream(two_rails, 0, 1, seconds=1.5) < 100e6


def test_bytes_are_counted(two_rails: Lab) -> None:
    assert max(two_rails.bytes_sent()) < 20_000
    send_stream(two_rails, 0, 1, rail=1, total=30_000_000)
    sent, received = two_rails.traffic(0), two_rails.traffic(1)
    for count in (sent[1].sent, received[1].received, two_rails.bytes_sent()[0]):
        assert 30_000_000 < count < 30_600_000
    assert max(sent[0].sent, received[0].received, two_rails.bytes_sent()[2]) < 20_000


def test_forked_ranks_enter_their_hosts(hosts: Lab) -> None:
    template = Template("system.cases", "smddp")
    case = "system.cases:collectives"
    try:
        with World(4, case, "shm+tcp", starter=hosts.forking(template), hosts=(1, 3), seconds=80) as world:
            places = [rank.stdout.split(",")[0] for rank in world.join()]
    finally:
        template.close()
    assert places == ["passed on node0", *["passed on node1"] * 3]


def test_by_hand(hosts_possible: None) -> None:
    script = "echo $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE, $MASTER_ADDR $(hostname)"
    options = ["--hosts", "2", "--ranks-per-host", "1,2", "--rails", "2", "--rate", "1gbit,500mbit"]
    job = run_job([*BY_HAND, *options, "--", "sh", "-c", script], timeout=60).check()
    assert sorted(job.stdout.splitlines()) == [
        "[0] 0 of 3, 0 of 1, node0 node0",
        "[1] 1 of 3, 0 of 2, node0 node1",
        "[2] 2 of 3, 1 of 2, node0 node1",
    ]


def test_by_hand_rank_that_fails_ends_the_job(hosts_possible: None) -> None:
    script = "test $RANK = 0 && exit 7; exec sleep 1000"
    job = run_job([*BY_HAND, "--hosts", "2", "--", "sh", "-c", script], timeout=60)
    assert (job.returncode, job.stdout) == (7, "")
    assert job.stderr == "rank 0 ended with exit code 7; the others are stopped\n"


def test_by_hand_wrong_options() -> None:
    job = run_job([*BY_HAND, "--rails", "3", "--rate", "1gbit,2gbit"], timeout=60)
    assert (job.returncode, job.stderr.splitlines()[-1].partition("error: ")[2]) == (2, "--rate: give one value or 3")


def test_killed_test_run_leaves_nothing(hosts_possible: None) -> None:
    """Not even a process that has left its session and ignores what it can."""
    script = "trap '' TERM HUP INT PIPE; setsid sh -c 'echo $$; exec sleep 1000' & wait"
    command = [*BY_HAND, "--hosts", "2", "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=-1, text=True, cwd=REPOSITORY, start_new_session=True) as killed:
        assert killed.stdout is not None
        pids = [int(re.sub(r"^\[\d\] ", "", killed.stdout.readline())) for _ in range(2)]
        watched = [os.pidfd_open(pid) for pid in pids]
        os.kill(killed.pid, signal.SIGKILL)
    with contextlib.ExitStack() as stack:
        for pidfd in watched:
            stack.callback(os.close, pidfd)
            assert select.select([pidfd], [], [], SECONDS)[0], "a process outlives the test run"

"""Hosts with several NICs: collectives over all of them are right, and a job outlives the loss of one."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
from conformance.worlds import skip_without

from support.netlab.lab import Lab, netlab
from support.netlab.spec import LabSpec
from support.processes import Template
from support.world import World

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("hosts_possible")]

CASES = "system.rank_cases"
TWO_RAILS = LabSpec(hosts=2, rails=(10**9, 10**9))
#: What rails carry that no large message needs: handshakes, keep-alive, the tail of a message.
SMALL = 1 << 20


#: How ranks on several hosts use each transport.
ENV = {"tcp": {}, "ofi": {"SMDDP_TRANSPORT": "shm+ofi", "SMDDP_OFI_PROVIDER": "tcp"}}


@pytest.fixture(params=ENV)
def between(request: pytest.FixtureRequest) -> str:
    """The transport between hosts."""
    skip_without(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Forks ranks that have NumPy, smddp and the cases imported already."""
    template = Template(CASES, "conformance.rank_cases")
    yield template
    template.close()


@pytest.mark.parametrize("rails", [2, 3])
@pytest.mark.parametrize("ranks", [1, 2])
def test_conformance(rails: int, ranks: int, between: str, template: Template, seed: int) -> None:
    counts = (ranks, ranks)
    transport = between if ranks == 1 else f"shm+{between}"
    arguments = (str(seed), ",".join(map(str, counts)), transport, "0")
    env = ENV[between] | {"SMDDP_CHUNK_BYTES": "4KiB", "SMDDP_STRIPE_BYTES": "4KiB"}
    with (
        netlab(LabSpec(hosts=2, rails=(None,) * rails)) as lab,
        World(
            2 * ranks,
            f"{CASES}:conformance",
            *arguments,
            starter=lab.forking(template),
            hosts=counts,
            env=env,
            seconds=130,
        ) as world,
    ):
        for rank in world.join():
            assert (rank.returncode, rank.stderr) == (0, ""), f"rank {rank.rank}"
            assert rank.stdout.endswith("cases passed\n")


def run_sums(lab: Lab, template: Template, steps: int, env: Mapping[str, str]) -> None:
    """One rank on each of two hosts; both end well and say nothing else."""
    with World(
        2, f"{CASES}:sums", str(steps), starter=lab.forking(template), hosts=(1, 1), env=env, seconds=60
    ) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stderr) == (0, ""), f"rank {rank.rank}"


def test_all_rails_carry_large_arrays(between: str, template: Template) -> None:
    with netlab(TWO_RAILS) as lab:
        run_sums(lab, template, 10, ENV[between])
        for host in range(2):
            first, second = (nic.sent for nic in lab.traffic(host))
            assert 0.7 < second / first < 1.4


def test_only_the_named_rail_carries_them(between: str, template: Template) -> None:
    with netlab(TWO_RAILS) as lab:
        run_sums(lab, template, 3, ENV[between] | {"SMDDP_SOCKET_IFNAME": "=eth1"})
        for host in range(2):
            first, second = (nic.sent for nic in lab.traffic(host))
            assert first < SMALL < second


def test_a_rail_that_leads_nowhere_is_left_out(between: str, template: Template) -> None:
    with netlab(TWO_RAILS) as lab:
        lab.cut(1, 1)
        run_sums(lab, template, 3, ENV[between])
        for host in range(2):
            first, second = (nic.sent for nic in lab.traffic(host))
            assert second < SMALL < first


def cut_at_the_switch(lab: Lab, rail: int) -> None:
    lab.cut(1, rail)


def take_down(lab: Lab, rail: int) -> None:
    lab.run(1, "ip", "link", "set", lab.spec.nics[rail], "down")


@pytest.mark.parametrize("rail", [0, 1])
@pytest.mark.parametrize("cut", [cut_at_the_switch, take_down])
def test_job_goes_on_without_a_rail(cut: Callable[[Lab, int], None], rail: int, template: Template) -> None:
    counts = (2, 2)
    with (
        netlab(TWO_RAILS) as lab,
        World(
            4,
            f"{CASES}:sums",
            "60",
            starter=lab.forking(template),
            hosts=counts,
            seconds=100,
        ) as world,
    ):
        world.wait_for("step 5")
        cut(lab, rail)
        told = set()
        for rank in world.join():
            assert rank.returncode == 0, f"rank {rank.rank}: {rank.stderr}"
            assert rank.stdout.splitlines()[-1] == "step 60"
            for line in rank.stderr.splitlines():
                found = re.fullmatch(
                    rf"smddp: WARN node(\d): rail eth{rail} \(10\.0\.{rail}\.\d\) to rank (\d) is lost \(.+\); "
                    "1 of 2 rails to it remain",
                    line,
                )
                assert found, line
                told.add((rank.rank, int(found[2])))
        lanes = {(0, 2), (1, 3), (2, 0), (3, 1)}
        assert lanes <= told, "each rank tells of the ranks that it exchanges data with"


def test_killed_rank_is_named_at_once(template: Template) -> None:
    with (
        netlab(TWO_RAILS) as lab,
        World(4, f"{CASES}:sums", "100000", starter=lab.forking(template), hosts=(2, 2), seconds=60) as world,
    ):
        world.wait_for("step 5")
        killed = world.signal(3, signal.SIGKILL)
        for rank in world.join(range(3)):
            assert rank.ended - killed < 5
            assert "SMDDPPeerLostError" in rank.last_line
            assert "rank 3 (node1" in rank.last_line
            assert "WARN" not in rank.stderr, "a dead peer's rails are no lost rails"


@pytest.mark.parametrize("rail", [0, 1])
@pytest.mark.parametrize("cut", [cut_at_the_switch, take_down])
def test_ofi_names_the_ranks_behind_a_lost_rail(cut: Callable[[Lab, int], None], rail: int, template: Template) -> None:
    skip_without("ofi")
    case = "integration.faults.cases.training:numpy_loop"
    with netlab(TWO_RAILS) as lab, World(2, case, "5", starter=lab, hosts=(1, 1), env=ENV["ofi"], seconds=60) as world:
        world.wait_for("step 3")
        cut(lab, rail)
        lost = time.monotonic()
        ranks = world.join()
    told = [rank.last_line.partition("): ")[2] for rank in ranks]
    for rank in ranks:
        assert rank.returncode == 1
        assert rank.ended - lost < 20
        assert re.match(r"SMDDP(Timeout|PeerLost)Error: ", rank.last_line), rank.stderr
        other = 1 - rank.rank
        # The one whose deadline comes first names the other, which may have been told that before its own deadline.
        names_other = f"rank {other} (node{other}" in told[rank.rank]
        assert names_other or told[rank.rank] == told[other], rank.last_line
    assert any(f"rank {1 - rank} (node{1 - rank}" in line for rank, line in enumerate(told)), told


def test_all_rails_cut(template: Template) -> None:
    case = "integration.faults.cases.training:numpy_loop"
    with netlab(TWO_RAILS) as lab, World(2, case, "5", starter=lab, hosts=(1, 1), seconds=60) as world:
        world.wait_for("step 3")
        cut = lab.cut(1)
        for rank in world.join():
            assert rank.returncode == 1
            assert rank.ended - cut < 15
            assert re.match(r"SMDDP(Timeout|PeerLost)Error: ", rank.last_line), rank.stderr
            assert f"rank {1 - rank.rank} (node{1 - rank.rank}" in rank.last_line

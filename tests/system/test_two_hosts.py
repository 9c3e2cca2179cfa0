"""Jobs over two hosts that share nothing but a network."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from system.conftest import TWO_HOSTS

from support.netlab.lab import Lab, netlab
from support.processes import Template
from support.world import World

CASES = "system.cases"
HOSTS = [(2, 2), (3, 1)]
IDS = ["2+2", "3+1"]
#: Namespaces of a host that processes can keep.
KINDS = ("net", "mnt")


def passed(world: World, hosts: tuple[int, ...]) -> None:
    """All ranks ended well, and each one on the host where it belongs."""
    names = [name for name, count in zip(TWO_HOSTS.names, hosts, strict=True) for _ in range(count)]
    for rank, name in zip(world.join(), names, strict=True):
        expected = f"passed on {name}, 0 files in shared memory\n"
        assert (rank.returncode, rank.stdout, rank.stderr) == (0, expected, ""), f"rank {rank.rank}"


@pytest.mark.timeout(100)
@pytest.mark.parametrize("counts", HOSTS, ids=IDS)
def test_collectives(hosts: Lab, counts: tuple[int, ...]) -> None:
    with World(4, f"{CASES}:collectives", "shm+tcp", starter=hosts, hosts=counts, seconds=80) as world:
        passed(world, counts)


@pytest.mark.timeout(100)
def test_one_rank_on_each_host(hosts: Lab) -> None:
    with World(2, f"{CASES}:collectives", "tcp", starter=hosts, hosts=(1, 1), seconds=80) as world:
        passed(world, (1, 1))


@pytest.mark.timeout(200)
def test_ddp(hosts: Lab, torch_template: Template) -> None:
    with World(4, f"{CASES}:ddp", starter=hosts.forking(torch_template), hosts=(2, 2), seconds=180) as world:
        ranks = world.join()
        for rank in ranks:
            assert (rank.returncode, rank.stderr) == (0, ""), f"rank {rank.rank}"
            assert rank.stdout.startswith("parameters ")
        assert len({rank.stdout for rank in ranks}) == 1


def test_hosts_are_apart(hosts: Lab) -> None:
    namespaces = {host_network(hosts, host) for host in (0, 1)}
    assert len(namespaces | {own_network()}) == 3
    assert [hosts.run(host, "hostname").strip() for host in (0, 1)] == list(TWO_HOSTS.names)
    hosts.run(0, "touch", "/dev/shm/of-node0")
    assert hosts.run(1, "ls", "/dev/shm") == ""
    assert not Path("/dev/shm/of-node0").exists()


def test_failing_test_leaves_nothing(hosts_possible: None) -> None:
    """Neither a rank, nor a process that has left its session and its host's network, or the host's mounts."""
    before = interfaces()
    namespaces: set[str] = set()
    with pytest.raises(ZeroDivisionError):
        fail_with_processes_running(namespaces)
    assert len(namespaces) == 4
    assert not namespaces & namespaces_in_use()
    assert interfaces() == before


def fail_with_processes_running(namespaces: set[str]) -> None:
    with netlab(TWO_HOSTS) as hosts:
        for kind in KINDS:
            namespaces |= {hosts.run(host, "readlink", f"/proc/self/ns/{kind}").strip() for host in (0, 1)}
        hosts.run_rank(1, ["sleep", "1000"], os.environ, subprocess.DEVNULL, subprocess.DEVNULL)
        for left in ("--net", "--mount"):
            hosts.run(1, "setsid", "--fork", "unshare", left, "sh", "-c", "exec sleep 1000 >/dev/null")
        raise ZeroDivisionError


def host_network(hosts: Lab, host: int) -> str:
    """Identity of a host's network namespace."""
    return hosts.run(host, "readlink", "/proc/self/ns/net").strip()


def own_network() -> str:
    """Identity of this process's network namespace."""
    return str(Path("/proc/self/ns/net").readlink())


def interfaces() -> set[str]:
    """Names of this machine's network interfaces."""
    return {path.name for path in Path("/sys/class/net").iterdir()}


def namespaces_in_use() -> set[str]:
    """Identities of the network and mount namespaces of all processes."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile, or is a zombie
                found |= {str((entry / "ns" / kind).readlink()) for kind in KINDS}
    return found

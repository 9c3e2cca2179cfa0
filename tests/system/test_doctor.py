"""``smddp doctor`` over two hosts that share nothing but a network: what is wrong there is really wrong."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from integration.tools.doctor_runs import Examined, Spoilt, fake_distribution, run_doctor
from system.conftest import TWO_HOSTS

from support.jobs import BIN
from support.netlab.lab import Lab

pytestmark = pytest.mark.timeout(180)

NODE0, NODE1 = TWO_HOSTS.names
ADDRESSES = tuple(TWO_HOSTS.address(host) for host in range(2))
NIC = TWO_HOSTS.nics[0]

#: An ssh that enters the other host; what a test wants to be different there comes first.
SSH = """#!/bin/sh
while :; do case $1 in -o) shift 2;; -*) shift;; *) break;; esac; done
host=$1; shift
case $host in
{cases}
esac
echo "ssh: Could not resolve hostname $host: Name or service not known" >&2
exit 255
"""


class Cluster:
    """The hosts, and a way to examine them as a user of node0 does."""

    def __init__(self, hosts: Lab, folder: Path) -> None:
        self.hosts = hosts
        self.folder = folder
        self.on_node1("true")

    def on_node1(self, command: str) -> None:
        """Let node1's ssh server run a shell command before what it is asked for: start-up files, limits."""
        enter = shlex.join(self.hosts.enter(1))
        cases = f'{NODE1}|{ADDRESSES[1]}) exec {enter} sh -c "{command}; $*";;'
        script = self.folder / "ssh"
        script.write_text(SSH.format(cases=cases), encoding="utf-8")
        script.chmod(0o755)

    def examine(self, *words: str, nodes: str = f"{NODE0}:2,{NODE1}:2", **env: str) -> Examined:
        path = f"{self.folder}:{BIN}:{os.environ['PATH']}"
        words = ("-H", nodes, *words)
        return run_doctor(Spoilt(words=words, env={"PATH": path, **env}), enter=self.hosts.enter(0))

    def change_mount(self, host: int, *words: str) -> None:
        self.hosts.run(host, "mount", *words)

    def write_names(self, host: int, *lines: str) -> None:
        """Let these be the names that a host knows, besides localhost."""
        text = "\n".join(("127.0.0.1 localhost", *lines))
        self.hosts.run(host, "sh", "-c", f"echo '{text}' >/etc/hosts")


@pytest.fixture
def cluster(hosts: Lab, tmp_path: Path) -> Cluster:
    if shutil.which("mpirun", path=f"{BIN}:{os.environ['PATH']}") is None:
        pytest.skip("there is no mpirun")
    return Cluster(hosts, tmp_path)


#: What this machine may say of itself, whatever the test; the hosts are namespaces of it.
ABOUT_THE_MACHINE = {"busy", "leftover-files", "leftover-processes", "two-mpis", "threads", "memory", "cores"} | {
    *("torch-adapter", "tensorflow-adapter", "system-calls", "oversubscription", "temporary-files", "shared-memory"),
}


def named(found: Examined) -> set[tuple[str, str, tuple[str, ...]]]:
    return {
        (one["severity"], one["check"], tuple(one["hosts"]))
        for one in found.findings
        if one["check"] not in ABOUT_THE_MACHINE
    }


def problem(found: Examined, check: str) -> str:
    return " | ".join(str(one["problem"]) for one in found.of(check))


def test_healthy_hosts(cluster: Cluster) -> None:
    found = cluster.examine()
    assert named(found) == set()
    assert [host["name"] for host in found.report["hosts"]] == [NODE0, NODE1]
    seen = {(pair["rank"], pair["peer"], pair["is_store"]) for pair in found.report["pairs"]}
    assert seen == {(0, 1, False), (1, 0, False), (1, 0, True)}


def test_text_names_the_hosts(cluster: Cluster) -> None:
    path = f"{cluster.folder}:{BIN}:{os.environ['PATH']}"
    words = [str(BIN / "smddp"), "doctor", "--quick", "-H", f"{NODE0},{NODE1}", "-x", "SMDDP_TIMEOUT=soon"]
    done = subprocess.run(
        cluster.hosts.enter(0, *words),
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1
    assert f"error    {NODE0}, {NODE1}: SMDDP_TIMEOUT=soon:" in done.stdout
    assert "2 hosts examined: 1 error" in done.stdout


def test_other_installation_and_limits(cluster: Cluster, tmp_path: Path) -> None:
    """By fake packages that node1's start-up file puts on Python's path, its limits, and its variables."""
    site = tmp_path / "site"
    fake_distribution(site, "torch", "1.13.1")
    fake_distribution(site, "numpy", "1.26.4")
    cluster.on_node1(
        f"export PYTHONPATH={site} OMP_NUM_THREADS=7 SMDDP_TRANSPORT=tcp NCCL_SOCKET_IFNAME=ib7; ulimit -Sn 150"
    )
    found = cluster.examine()
    told = named(found)
    assert ("error", "torch-version", ()) in told
    assert f"1.13.1 on {NODE1}" in problem(found, "torch-version")
    assert ("warning", "numpy-version", ()) in told
    assert ("error", "unequal-variables", ()) in told
    assert f"SMDDP_TRANSPORT differs: unset on {NODE0}; tcp on {NODE1}" in problem(found, "unequal-variables")
    assert ("warning", "interface-names", (NODE1,)) in told
    assert ("error", "open-files", (NODE1,)) in told
    assert f"OMP_NUM_THREADS differs: unset on {NODE0}; 7 on {NODE1}" in problem(found, "threads")


def test_shared_memory(cluster: Cluster) -> None:
    """By mounts: 64 MiB as in a container, and read-only."""
    cluster.change_mount(0, "-o", "remount,size=64M", "/dev/shm")
    cluster.change_mount(1, "-t", "tmpfs", "-o", "ro", "tmpfs", "/dev/shm")
    found = cluster.examine()
    told = {(one["severity"], one["problem"], tuple(one["hosts"])) for one in found.of("shared-memory")}
    assert ("warning", "/dev/shm has 64 MiB: data loaders, NCCL and MPI need more, and die of it", (NODE0,)) in told
    assert ("error", "nothing can be written to /dev/shm (read-only file system)", (NODE1,)) in told


def test_full_shared_memory(cluster: Cluster) -> None:
    """By a file that takes it all."""
    cluster.change_mount(1, "-o", "remount,size=1100M", "/dev/shm")
    cluster.hosts.run(1, "fallocate", "-l", "1080M", "/dev/shm/of-somebody")
    found = cluster.examine()
    assert [(one["severity"], one["hosts"]) for one in found.of("shared-memory")] == [("error", [NODE1])]
    assert "/dev/shm is full: 20 MiB of 1.07 GiB are left" in problem(found, "shared-memory")


def test_mtu_and_names(cluster: Cluster) -> None:
    """By the NIC of node0, and the name and the files of node1."""
    cluster.hosts.run(0, "ip", "link", "set", NIC, "mtu", "9000")
    cluster.write_names(1, f"127.0.1.1 {NODE1}", f"{ADDRESSES[0]} {NODE0}")
    found = cluster.examine()
    assert ("warning", "mtu", ()) in named(found)
    assert f"9000 on {NODE0}; 1500 on {NODE1}" in problem(found, "mtu")
    assert ("warning", "own-name", (NODE1,)) in named(found)
    assert f"{NODE1} means 127.0.1.1 there" in problem(found, "own-name")


def test_name_of_rank_0_is_unknown(cluster: Cluster) -> None:
    """By node1's /etc/hosts; mpirun needs no names."""
    cluster.write_names(1, f"{ADDRESSES[1]} {NODE1}")
    found = cluster.examine()
    assert ("error", "master-address", (NODE1,)) in named(found)
    assert "this host does not know the name" in problem(found, "master-address")


def test_name_of_rank_0_means_loopback(cluster: Cluster) -> None:
    """By node1's /etc/hosts."""
    cluster.write_names(1, f"127.0.1.1 {NODE0}", f"{ADDRESSES[1]} {NODE1}")
    found = cluster.examine()
    assert ("error", "master-address", (NODE1,)) in named(found)
    assert "there the name means 127.0.1.1, which is that host itself" in problem(found, "master-address")


def test_one_name_for_two_hosts(cluster: Cluster) -> None:
    """By hostname(1), as images with a fixed name have it."""
    cluster.hosts.run(1, "hostname", NODE0)
    found = cluster.examine(nodes=",".join(ADDRESSES))
    assert ("warning", "same-name", (f"{NODE0} #0", f"{NODE0} #1")) in named(found)


def test_address_that_only_its_host_reaches(cluster: Cluster) -> None:
    """By an interface that leads back to node1, and that its start-up file lets smddp listen on."""
    cluster.hosts.run(1, "ip", "link", "add", "island0", "type", "veth", "peer", "name", "island1")
    cluster.hosts.run(1, "ip", "address", "add", "10.99.0.2/24", "dev", "island0")
    cluster.hosts.run(1, "ip", "link", "set", "island0", "up")
    cluster.on_node1("export SMDDP_LISTEN_ADDRESS=10.99.0.2")
    found = cluster.examine()
    assert ("error", "unreachable", (NODE0, NODE1)) in named(found)
    assert f"{NODE0} cannot reach {NODE1} (10.99.0.2: network is unreachable)" in problem(found, "unreachable")
    assert ("note", "networks", ()) in named(found)
    assert not any(hosts == (NODE1, NODE0) for _, check, hosts in named(found) if check == "unreachable")


def test_first_address_leads_nowhere(cluster: Cluster) -> None:
    """By an address before the one that works; what node1 answers from there is dropped."""
    cluster.hosts.run(1, "ip", "address", "del", f"{ADDRESSES[1]}/24", "dev", NIC)
    cluster.hosts.run(1, "ip", "address", "add", "10.99.0.2/24", "dev", NIC)
    cluster.hosts.run(1, "ip", "address", "add", f"{ADDRESSES[1]}/24", "dev", NIC)
    cluster.hosts.run(1, "ip", "rule", "add", "from", "10.99.0.2", "blackhole")
    cluster.hosts.run(0, "ip", "route", "add", "10.99.0.0/24", "via", ADDRESSES[1])
    found = cluster.examine()
    assert ("warning", "first-address", (NODE0, NODE1)) in named(found)
    assert f"at 10.99.0.2 first, where nobody answers, for 5 s; then {ADDRESSES[1]} works" in problem(
        found, "first-address"
    )


def test_no_loopback(cluster: Cluster) -> None:
    """By ip link; as in network namespaces that nobody has set up."""
    cluster.hosts.run(1, "ip", "link", "set", "lo", "down")
    found = cluster.examine()
    assert ("error", "loopback", (NODE1,)) in named(found)


def test_identity_for_all(cluster: Cluster) -> None:
    """By -x, which gives every host the same."""
    found = cluster.examine("-x", "SMDDP_HOST_ID=mine", "-x", f"SMDDP_LISTEN_ADDRESS={ADDRESSES[0]}")
    assert ("error", "host-identity", (NODE0, NODE1)) in named(found)
    assert ("error", "listen-address", (NODE1,)) in named(found)


def test_port_of_the_store_is_taken(cluster: Cluster) -> None:
    """By a process of node0 that listens there."""
    code = "import socket, sys; s = socket.create_server(('', 20000)); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        cluster.hosts.enter(0, sys.executable, "-c", code), stdin=-1, stdout=-1, text=True
    ) as listening:
        assert listening.stdout is not None
        listening.stdout.readline()
        found = cluster.examine(MASTER_ADDR=NODE0, MASTER_PORT="20000")
        listening.communicate()
    assert named(found) == {("error", "port-in-use", (NODE0,))}
    assert "port 20000 (MASTER_PORT) is in use, by process" in problem(found, "port-in-use")


@pytest.mark.parametrize("other", ["node2", "10.0.0.9"])
def test_host_that_is_not_there(cluster: Cluster, other: str) -> None:
    """By a name that ssh does not know; the other hosts are examined all the same."""
    found = cluster.examine(nodes=f"{NODE0},{NODE1},{other}")
    assert named(found) == {("error", "not-examined", (other,))}
    assert [host["name"] for host in found.report["hosts"]] == [NODE0, NODE1]
    assert len(found.report["pairs"]) == 3


def test_host_without_our_python(cluster: Cluster) -> None:
    """By an ssh server whose shell finds nothing."""
    cluster.on_node1(f"echo sh: 1: {sys.executable}: not found >&2; exit 127")
    found = cluster.examine()
    assert ("error", "not-examined", (NODE1,)) in named(found)
    assert f"{sys.executable} does not exist there" in problem(found, "not-examined")


def test_host_that_mpirun_cannot_use(cluster: Cluster) -> None:
    """By a way back that is missing: ssh works, and what it starts does not reach node0."""
    cluster.hosts.run(1, "ip", "route", "add", "blackhole", f"{ADDRESSES[0]}/32")
    found = cluster.examine()
    assert named(found) == {("error", "not-examined", (NODE1,))}
    assert "ssh works, and mpirun does not" in problem(found, "not-examined")
    assert [host["name"] for host in found.report["hosts"]] == [NODE0]

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
from system.two_hosts import ADDRESSES, CABLE, NAMES, TwoHosts

from support.jobs import BIN

pytestmark = pytest.mark.timeout(180)

NODEA, NODEB = NAMES

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
    """The hosts, and a way to examine them as a user of nodea does."""

    def __init__(self, hosts: TwoHosts, folder: Path) -> None:
        self.hosts = hosts
        self.folder = folder
        self.on_nodeb("true")

    def on_nodeb(self, command: str) -> None:
        """Let nodeb's ssh server run a shell command before what it is asked for: start-up files, limits."""
        enter = shlex.join(self.hosts.enter(1))
        cases = f'{NODEB}|{ADDRESSES[1]}) exec {enter} sh -c "{command}; $*";;'
        script = self.folder / "ssh"
        script.write_text(SSH.format(cases=cases), encoding="utf-8")
        script.chmod(0o755)

    def examine(self, *words: str, nodes: str = f"{NODEA}:2,{NODEB}:2", **env: str) -> Examined:
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
def cluster(hosts: TwoHosts, tmp_path: Path) -> Cluster:
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
    assert [host["name"] for host in found.report["hosts"]] == [NODEA, NODEB]
    seen = {(pair["rank"], pair["peer"], pair["is_store"]) for pair in found.report["pairs"]}
    assert seen == {(0, 1, False), (1, 0, False), (1, 0, True)}


def test_text_names_the_hosts(cluster: Cluster) -> None:
    path = f"{cluster.folder}:{BIN}:{os.environ['PATH']}"
    words = [str(BIN / "smddp"), "doctor", "--quick", "-H", f"{NODEA},{NODEB}", "-x", "SMDDP_TIMEOUT=soon"]
    done = subprocess.run(
        cluster.hosts.enter(0, *words),
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1
    assert f"error    {NODEA}, {NODEB}: SMDDP_TIMEOUT=soon:" in done.stdout
    assert "2 hosts examined: 1 error" in done.stdout


def test_other_installation_and_limits(cluster: Cluster, tmp_path: Path) -> None:
    """By fake packages that nodeb's start-up file puts on Python's path, its limits, and its variables."""
    site = tmp_path / "site"
    fake_distribution(site, "torch", "1.13.1")
    fake_distribution(site, "numpy", "1.26.4")
    cluster.on_nodeb(
        f"export PYTHONPATH={site} OMP_NUM_THREADS=7 SMDDP_TRANSPORT=tcp NCCL_SOCKET_IFNAME=ib7; ulimit -Sn 150"
    )
    found = cluster.examine()
    told = named(found)
    assert ("error", "torch-version", ()) in told
    assert f"1.13.1 on {NODEB}" in problem(found, "torch-version")
    assert ("warning", "numpy-version", ()) in told
    assert ("error", "unequal-variables", ()) in told
    assert f"SMDDP_TRANSPORT differs: unset on {NODEA}; tcp on {NODEB}" in problem(found, "unequal-variables")
    assert ("warning", "interface-names", (NODEB,)) in told
    assert ("error", "open-files", (NODEB,)) in told
    assert f"OMP_NUM_THREADS differs: unset on {NODEA}; 7 on {NODEB}" in problem(found, "threads")


def test_shared_memory(cluster: Cluster) -> None:
    """By mounts: 64 MiB as in a container, and read-only."""
    cluster.change_mount(0, "-o", "remount,size=64M", "/dev/shm")
    cluster.change_mount(1, "-t", "tmpfs", "-o", "ro", "tmpfs", "/dev/shm")
    found = cluster.examine()
    told = {(one["severity"], one["problem"], tuple(one["hosts"])) for one in found.of("shared-memory")}
    assert ("warning", "/dev/shm has 64 MiB: data loaders, NCCL and MPI need more, and die of it", (NODEA,)) in told
    assert ("error", "nothing can be written to /dev/shm (read-only file system)", (NODEB,)) in told


def test_full_shared_memory(cluster: Cluster) -> None:
    """By a file that takes it all."""
    cluster.change_mount(1, "-o", "remount,size=1100M", "/dev/shm")
    cluster.hosts.run(1, "fallocate", "-l", "1080M", "/dev/shm/of-somebody")
    found = cluster.examine()
    assert [(one["severity"], one["hosts"]) for one in found.of("shared-memory")] == [("error", [NODEB])]
    assert "/dev/shm is full: 20 MiB of 1.07 GiB are left" in problem(found, "shared-memory")


def test_mtu_and_names(cluster: Cluster) -> None:
    """By the cable's end at nodea, and the name and the files of nodeb."""
    cluster.hosts.run(0, "ip", "link", "set", CABLE, "mtu", "9000")
    cluster.write_names(1, f"127.0.1.1 {NODEB}", f"{ADDRESSES[0]} {NODEA}")
    found = cluster.examine()
    assert ("warning", "mtu", ()) in named(found)
    assert f"9000 on {NODEA}; 1500 on {NODEB}" in problem(found, "mtu")
    assert ("warning", "own-name", (NODEB,)) in named(found)
    assert f"{NODEB} means 127.0.1.1 there" in problem(found, "own-name")


def test_name_of_rank_0_is_unknown(cluster: Cluster) -> None:
    """By nodeb's /etc/hosts; mpirun needs no names."""
    cluster.write_names(1, f"{ADDRESSES[1]} {NODEB}")
    found = cluster.examine()
    assert ("error", "master-address", (NODEB,)) in named(found)
    assert "this host does not know the name" in problem(found, "master-address")


def test_name_of_rank_0_means_loopback(cluster: Cluster) -> None:
    """By nodeb's /etc/hosts."""
    cluster.write_names(1, f"127.0.1.1 {NODEA}", f"{ADDRESSES[1]} {NODEB}")
    found = cluster.examine()
    assert ("error", "master-address", (NODEB,)) in named(found)
    assert "there the name means 127.0.1.1, which is that host itself" in problem(found, "master-address")


def test_one_name_for_two_hosts(cluster: Cluster) -> None:
    """By hostname(1), as images with a fixed name have it."""
    cluster.hosts.run(1, "hostname", NODEA)
    found = cluster.examine(nodes=",".join(ADDRESSES))
    assert ("warning", "same-name", (f"{NODEA} #0", f"{NODEA} #1")) in named(found)


def test_address_that_only_its_host_reaches(cluster: Cluster) -> None:
    """By an interface that leads back to nodeb, and that its start-up file lets smddp listen on."""
    cluster.hosts.run(1, "ip", "link", "add", "island0", "type", "veth", "peer", "name", "island1")
    cluster.hosts.run(1, "ip", "address", "add", "10.99.0.2/24", "dev", "island0")
    cluster.hosts.run(1, "ip", "link", "set", "island0", "up")
    cluster.on_nodeb("export SMDDP_LISTEN_ADDRESS=10.99.0.2")
    found = cluster.examine()
    assert ("error", "unreachable", (NODEA, NODEB)) in named(found)
    assert f"{NODEA} cannot reach {NODEB} (10.99.0.2: network is unreachable)" in problem(found, "unreachable")
    assert ("note", "networks", ()) in named(found)
    assert not any(hosts == (NODEB, NODEA) for _, check, hosts in named(found) if check == "unreachable")


def test_first_address_leads_nowhere(cluster: Cluster) -> None:
    """By an address before the one that works; what nodeb answers from there is dropped."""
    cluster.hosts.run(1, "ip", "address", "del", f"{ADDRESSES[1]}/24", "dev", CABLE)
    cluster.hosts.run(1, "ip", "address", "add", "10.99.0.2/24", "dev", CABLE)
    cluster.hosts.run(1, "ip", "address", "add", f"{ADDRESSES[1]}/24", "dev", CABLE)
    cluster.hosts.run(1, "ip", "rule", "add", "from", "10.99.0.2", "blackhole")
    cluster.hosts.run(0, "ip", "route", "add", "10.99.0.0/24", "via", ADDRESSES[1])
    found = cluster.examine()
    assert ("warning", "first-address", (NODEA, NODEB)) in named(found)
    assert f"at 10.99.0.2 first, where nobody answers, for 5 s; then {ADDRESSES[1]} works" in problem(
        found, "first-address"
    )


def test_no_loopback(cluster: Cluster) -> None:
    """By ip link; as in network namespaces that nobody has set up."""
    cluster.hosts.run(1, "ip", "link", "set", "lo", "down")
    found = cluster.examine()
    assert ("error", "loopback", (NODEB,)) in named(found)


def test_identity_for_all(cluster: Cluster) -> None:
    """By -x, which gives every host the same."""
    found = cluster.examine("-x", "SMDDP_HOST_ID=mine", "-x", f"SMDDP_LISTEN_ADDRESS={ADDRESSES[0]}")
    assert ("error", "host-identity", (NODEA, NODEB)) in named(found)
    assert ("error", "listen-address", (NODEB,)) in named(found)


def test_port_of_the_store_is_taken(cluster: Cluster) -> None:
    """By a process of nodea that listens there."""
    code = "import socket, sys; s = socket.create_server(('', 20000)); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        cluster.hosts.enter(0, sys.executable, "-c", code), stdin=-1, stdout=-1, text=True
    ) as listening:
        assert listening.stdout is not None
        listening.stdout.readline()
        found = cluster.examine(MASTER_ADDR=NODEA, MASTER_PORT="20000")
        listening.communicate()
    assert named(found) == {("error", "port-in-use", (NODEA,))}
    assert "port 20000 (MASTER_PORT) is in use, by process" in problem(found, "port-in-use")


@pytest.mark.parametrize("other", ["nodec", "10.213.77.9"])
def test_host_that_is_not_there(cluster: Cluster, other: str) -> None:
    """By a name that ssh does not know; the other hosts are examined all the same."""
    found = cluster.examine(nodes=f"{NODEA},{NODEB},{other}")
    assert named(found) == {("error", "not-examined", (other,))}
    assert [host["name"] for host in found.report["hosts"]] == [NODEA, NODEB]
    assert len(found.report["pairs"]) == 3


def test_host_without_our_python(cluster: Cluster) -> None:
    """By an ssh server whose shell finds nothing."""
    cluster.on_nodeb(f"echo sh: 1: {sys.executable}: not found >&2; exit 127")
    found = cluster.examine()
    assert ("error", "not-examined", (NODEB,)) in named(found)
    assert f"{sys.executable} does not exist there" in problem(found, "not-examined")


def test_host_that_mpirun_cannot_use(cluster: Cluster) -> None:
    """By a way back that is missing: ssh works, and what it starts does not reach nodea."""
    cluster.hosts.run(1, "ip", "route", "add", "blackhole", f"{ADDRESSES[0]}/32")
    found = cluster.examine()
    assert named(found) == {("error", "not-examined", (NODEB,))}
    assert "ssh works, and mpirun does not" in problem(found, "not-examined")
    assert [host["name"] for host in found.report["hosts"]] == [NODEA]

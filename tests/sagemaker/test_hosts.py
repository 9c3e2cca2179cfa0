"""The simulated hosts themselves: apart from each other and from this machine, and gone afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from pathlib import Path

import pytest

from support.sagemaker.cluster import Host, HostSetup, cluster
from support.sagemaker.contents import prepare_hosts
from support.sagemaker.job import TrainingJob

#: What a host has of its own.
PRIVATE = ("/etc/hosts", "/etc/environment")

LOOK_AROUND = """
hostname
cat /etc/hosts >/dev/null
ls /tmp /dev/shm
cat /sys/class/net/eth0/operstate >/dev/null
touch /tmp/done.algo-1 /dev/shm/left /opt/ml/output/success
echo A=1 >>/etc/environment
grep -c . /etc/environment
"""


def setups(folder: Path, script: str) -> list[HostSetup]:
    job = TrainingJob(script="sum_ranks.py", hyperparameters={}, hosts=2)
    return [
        dataclasses.replace(setup, argv=["/bin/bash", "-euc", script], seen_in_tmp=())
        for setup in prepare_hosts(job, folder)
    ]


def test_hosts_are_apart(hosts_possible: None, tmp_path: Path) -> None:
    with cluster(setups(tmp_path, LOOK_AROUND)) as hosts:
        assert [host.wait(60) for host in hosts] == [0, 0]
    for name in ("algo-1", "algo-2"):
        assert (tmp_path / f"{name}.log").read_text() == f"{name}\n/dev/shm:\n\n/tmp:\n1\n"


def test_daemons_end_with_the_program(hosts_possible: None, tmp_path: Path) -> None:
    before = this_machine()
    # In a session of its own, as sshd and orted are; the program ends when it may go.
    made = setups(tmp_path, "setsid sleep 1000 & read </opt/ml/go || true")
    gates = [tmp_path / setup.name / "ml" / "go" for setup in made]
    for gate in gates:
        os.mkfifo(gate)
    with cluster(made) as hosts:
        namespaces = {namespace(host, "pid_for_children") for host in hosts}
        for gate in gates:
            gate.write_text("go\n")
        assert [host.wait(60) for host in hosts] == [0, 0]
        assert not namespaces & namespaces_in_use()
    assert this_machine() == before


def test_failing_test_leaves_nothing(hosts_possible: None, tmp_path: Path) -> None:
    before = this_machine()
    namespaces: set[str] = set()
    with pytest.raises(ZeroDivisionError):
        fail_with_hosts_running(tmp_path, namespaces)
    assert len(namespaces) == 6
    assert not namespaces & namespaces_in_use()
    assert this_machine() == before


def fail_with_hosts_running(folder: Path, namespaces: set[str]) -> None:
    with cluster(setups(folder, "sleep 1000")) as hosts:
        namespaces |= {namespace(host, kind) for host in hosts for kind in ("net", "mnt", "pid_for_children")}
        raise ZeroDivisionError


def this_machine() -> tuple[object, ...]:
    """What hosts must not change."""
    files = [Path(path).read_text() for path in PRIVATE]
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    interfaces = {path.name for path in Path("/sys/class/net").iterdir()}
    return files, mounts, interfaces, socket.gethostname()


def namespace(host: Host, kind: str) -> str:
    """Identity of a host's namespace."""
    return str(Path(f"/proc/{host.pid}/ns/{kind}").readlink())


def namespaces_in_use() -> set[str]:
    """Identities of the network, mount and process namespaces of all processes."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile, or is a zombie
                found |= {str((entry / "ns" / kind).readlink()) for kind in ("net", "mnt", "pid")}
    return found

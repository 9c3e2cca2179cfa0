"""Hosts for the tests of the doctor's checks: healthy ones, and ways to spoil them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smddp.tools.doctor.checks import Subject
from smddp.tools.doctor.facts import (
    Environment,
    HostFacts,
    Interface,
    Limits,
    Mpi,
    Network,
    PairFacts,
    Program,
    Route,
    Software,
    Store,
    System,
)

GIB = 1024**3
OPEN_MPI_4 = Program(path="/usr/bin/mpirun", version="mpirun (Open MPI) 4.1.4")
OPEN_MPI_5 = Program(path="/opt/bin/mpirun", version="mpirun (Open MPI) 5.0.11")
MPICH = Program(path="/usr/bin/mpirun.mpich", version="HYDRA 4.0.2")
LOOPBACK = Interface(name="lo", address="127.0.0.1", prefix=8, mtu=65536, is_loopback=True)


def healthy(rank: int = 0) -> HostFacts:
    """A host on which nothing is wrong."""
    return HostFacts(
        rank=rank,
        software=Software(
            python="3.11.7",
            executable="/opt/venv/bin/python",
            architecture="x86_64",
            packages={
                **{"smddp": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0+cpu", "tensorflow": "2.21.0"},
                **{"keras": "3.15.1", "mpi4py": "4.1.2"},
            },
            built_for={"_core": "", "_torch": "2.13.0", "_tf": "2.21.0"},
            smddp_copies=("/opt/venv/lib/python3.11/site-packages",),
        ),
        mpi=Mpi(mpirun=OPEN_MPI_4, programs=("smddprun", "mpirun", "which", "sshd")),
        limits=Limits(open_files=65536, locked_memory=8 * 1024**2),
        system=System(
            host_name=f"node{rank}",
            host_id=f"boot:{rank}:net:1",
            kernel="6.1.0-18-amd64",
            cores_seen=8,
            cores_usable=8,
            load=0.1,
            memory=64 * GIB,
            memory_available=60 * GIB,
            shared_memory=Store(path="/dev/shm", kind="tmpfs", size=32 * GIB, free=32 * GIB),
            temporary=Store(path="/tmp", kind="", size=100 * GIB, free=50 * GIB),
        ),
        network=Network(
            interfaces=(LOOPBACK, Interface(name="eth0", address=f"10.0.0.{rank + 1}", prefix=24, mtu=9001)),
            own_addresses=(f"10.0.0.{rank + 1}",),
            listen_port=40000,
            outgoing_ports=(32768, 60999),
            interface_names=("lo", "eth0"),
        ),
        environment=Environment(variables={"OMP_NUM_THREADS": "4"}),
    )


def pairs() -> tuple[PairFacts, ...]:
    good = {"round_trip": 0.001, "clock_offset": 0.0001}
    return (
        PairFacts(rank=0, peer=1, routes=(Route(address="10.0.0.2", **good),)),
        PairFacts(rank=1, peer=0, routes=(Route(address="10.0.0.1", **good),)),
        PairFacts(rank=1, peer=0, is_store=True, routes=(Route(address="node0:20000", **good),)),
    )


def one_host() -> Subject:
    return Subject(hosts=(healthy(),), ranks={0: 2})


def two_hosts() -> Subject:
    return Subject(hosts=(healthy(0), healthy(1)), pairs=pairs(), ranks={0: 2, 1: 2})


def changed(facts: HostFacts, part: str, **fields: Any) -> HostFacts:
    return replace(facts, **{part: replace(getattr(facts, part), **fields)})


def on(count: int, part: str, *, hosts: tuple[int, ...] = (0,), **fields: Any) -> Subject:
    """Healthy hosts, some of them with other facts."""
    subject = one_host() if count == 1 else two_hosts()
    return replace(
        subject,
        hosts=tuple(changed(host, part, **fields) if host.rank in hosts else host for host in subject.hosts),
    )


def packages(count: int, host: int, **versions: str | None) -> Subject:
    mine = {**healthy().software.packages, **{name.replace("_", "-"): value for name, value in versions.items()}}
    there = {name: version for name, version in mine.items() if version is not None}
    return on(count, "software", hosts=(host,), packages=there)


def toolkit(**fields: Any) -> Subject:
    """A host with SageMaker's training toolkit, and an MPI as `fields` say."""
    known = {**healthy().software.packages, "sagemaker-training": "5.1.4"}
    return Subject(hosts=(changed(changed(healthy(), "mpi", **fields), "software", packages=known),))


def variables(count: int, *hosts: int, **values: str) -> Subject:
    return on(count, "environment", hosts=hosts or (0,), variables={"OMP_NUM_THREADS": "4", **values})


def routed(*routes: Route, is_store: bool = False) -> Subject:
    """What host 1 sees of host 0."""
    seen = PairFacts(rank=1, peer=0, is_store=is_store, routes=routes)
    return replace(
        two_hosts(), pairs=(*(pair for pair in pairs() if (pair.rank, pair.is_store) != (1, is_store)), seen)
    )


def interfaces(rank: int, *more: Interface, mtu: int = 9001, prefix: int = 24) -> Subject:
    own = Interface(name="eth0", address=f"10.0.0.{rank + 1}", prefix=prefix, mtu=mtu)
    return on(2, "network", hosts=(rank,), interfaces=(LOOPBACK, own, *more))

"""What a job runs on, as values; native/include/smddp/topology.h has the same types for the engine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from smddp.errors import SMDDPArgumentError

__all__ = ["Gpu", "HostTopology", "NumaNode", "Rail", "Topology"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """Logical processors, ascending, that the job may use."""

    cpus: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rail:
    """A network card, or one port of it.

    Attributes:
        name: of the RDMA device or network interface.
        gbps: 10^9 bit/s in each direction; 0: unknown.
        numa: index of the NUMA node that it hangs on; -1: unknown.
    """

    name: str
    gbps: float
    numa: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU or another accelerator.

    Attributes:
        numa: index of the NUMA node that it hangs on; -1: unknown.
        rails: indexes of the nearest rails, ascending; empty: none is nearer than the others.
    """

    numa: int = -1
    rails: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostTopology:
    """One host.

    Attributes:
        instance_type: of EC2; empty: unknown, or none.
        threads_per_core: logical processors of each core.
        cpu_limit: processors that the control group's quota is worth; 0: no limit.
        memory_gbytes_per_s: 10^9 bytes/s, all NUMA nodes together; 0: unknown.

    Raises:
        SMDDPArgumentError: the parts do not fit together.
    """

    instance_type: str = ""
    threads_per_core: int = 1
    cpu_limit: float = 0.0
    memory_gbytes_per_s: float = 0.0
    numa_nodes: tuple[NumaNode, ...] = ()
    rails: tuple[Rail, ...] = ()
    gpus: tuple[Gpu, ...] = ()

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise SMDDPArgumentError(problem)

    @property
    def cpus(self) -> int:
        """Number of logical processors."""
        return sum(len(node.cpus) for node in self.numa_nodes)

    @property
    def cores(self) -> int:
        """Number of physical cores."""
        return math.ceil(self.cpus / self.threads_per_core)

    @property
    def gbps(self) -> float:
        """Speed of all rails together, 10^9 bit/s in each direction."""
        return sum(rail.gbps for rail in self.rails)

    def gpus_near(self, rail: int) -> tuple[int, ...]:
        """Indexes of the GPUs to which the rail with this index is nearest."""
        return tuple(index for index, gpu in enumerate(self.gpus) if rail in gpu.rails)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The hosts of a job in the order of their lowest ranks, and for each rank the index of its host.

    Raises:
        SMDDPArgumentError: a host has no rank, or they are in another order.
    """

    hosts: tuple[HostTopology, ...]
    host_of_rank: tuple[int, ...]

    def __post_init__(self) -> None:
        if tuple(dict.fromkeys(self.host_of_rank)) != tuple(range(len(self.hosts))):
            msg = (
                f"host_of_rank: each of the {len(self.hosts)} hosts needs a rank, and hosts are numbered from 0 in the "
                f"order of their lowest ranks; got {list(self.host_of_rank)}"
            )
            raise SMDDPArgumentError(msg)

    @classmethod
    def uniform(cls, host: HostTopology, *, hosts: int, ranks_per_host: int = 1) -> Topology:
        """`hosts` hosts that are alike, filled with ranks one after the other.

        Raises:
            SMDDPArgumentError: there is no host or no rank.
        """
        if hosts < 1 or ranks_per_host < 1:
            msg = f"a job needs at least one host and one rank on each, not {hosts} hosts of {ranks_per_host} ranks"
            raise SMDDPArgumentError(msg)
        placement = tuple(index for index in range(hosts) for _ in range(ranks_per_host))
        return cls(hosts=(host,) * hosts, host_of_rank=placement)

    def ranks_on(self, host: int) -> tuple[int, ...]:
        """The ranks on a host, ascending."""
        return tuple(rank for rank, place in enumerate(self.host_of_rank) if place == host)


def _problems(host: HostTopology) -> Iterable[str]:
    if host.threads_per_core < 1:
        yield f"threads_per_core: must be at least 1, not {host.threads_per_core}"
    for name in ("cpu_limit", "memory_gbytes_per_s"):
        yield from _bad_number(name, getattr(host, name))
    if not _is_plain(host.instance_type):
        yield f"instance_type: {host.instance_type!r} has characters that cannot be printed"
    yield from _cpu_problems(host.numa_nodes)
    yield from _rail_problems(host)
    for index, gpu in enumerate(host.gpus):
        yield from _bad_numa(f"gpu {index}", gpu.numa, host.numa_nodes)
        if list(gpu.rails) != sorted(set(gpu.rails)):
            yield f"gpu {index}: rails: must ascend, got {list(gpu.rails)}"
        for rail in gpu.rails:
            if not 0 <= rail < len(host.rails):
                yield f"gpu {index}: there is no rail {rail} (rails: {len(host.rails)}, numbered from 0)"


def _cpu_problems(nodes: Sequence[NumaNode]) -> Iterable[str]:
    owner: dict[int, int] = {}
    for index, node in enumerate(nodes):
        if list(node.cpus) != sorted(set(node.cpus)) or any(cpu < 0 for cpu in node.cpus):
            yield f"numa {index}: cpus: must ascend from 0, got {list(node.cpus)}"
        for cpu in node.cpus:
            if owner.setdefault(cpu, index) != index:
                yield f"numa {index}: cpus: processor {cpu} belongs to NUMA node {owner[cpu]} already"


def _rail_problems(host: HostTopology) -> Iterable[str]:
    names: set[str] = set()
    for index, rail in enumerate(host.rails):
        if not rail.name or not _is_plain(rail.name):
            yield f"rail {index}: name: must be printable text, not {rail.name!r}"
        if rail.name in names:
            yield f"rail {index}: name: there is another rail {rail.name!r}"
        names.add(rail.name)
        yield from _bad_number(f"rail {index}: gbps", rail.gbps)
        yield from _bad_numa(f"rail {index}", rail.numa, host.numa_nodes)


def _bad_number(name: str, value: float) -> Iterable[str]:
    if not 0 <= value < math.inf:
        yield f"{name}: must be a number from 0 on, not {value}"


def _bad_numa(name: str, numa: int, nodes: Sequence[NumaNode]) -> Iterable[str]:
    if not -1 <= numa < len(nodes):
        yield f"{name}: there is no NUMA node {numa} (nodes: {len(nodes)}, numbered from 0; -1: unknown)"


def _is_plain(text: str) -> bool:
    return text.isprintable() and len(text.encode(errors="surrogatepass")) <= _LONGEST_TEXT


#: As native/src/topology/encode.cc.
_LONGEST_TEXT = 4096

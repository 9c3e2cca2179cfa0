"""Topologies as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smddp.topology import Gpu, HostTopology, Rail, Topology, catalogue
from smddp.topology.files import format_cpus

__all__ = ["alike", "catalogue_lines", "speed_text", "topology_lines"]


def topology_lines(topology: Topology, digest: str) -> list[str]:
    """The whole topology; hosts that are alike are told once."""
    ranks = len(topology.host_of_rank)
    lines = [f"{_count(len(topology.hosts), 'host')}, {_count(ranks, 'rank')}, topology {digest}"]
    for host, places in alike(topology).items():
        owned = format_cpus(sorted(rank for place in places for rank in topology.ranks_on(place)))
        lines += [f"{_numbered('host', places)}: {_numbered_text('rank', owned)}", *_host_lines(host)]
    return lines


def alike(topology: Topology) -> dict[HostTopology, list[int]]:
    """The different hosts, each with the indexes at which it stands."""
    places: dict[HostTopology, list[int]] = {}
    for index, host in enumerate(topology.hosts):
        places.setdefault(host, []).append(index)
    return places


def catalogue_lines() -> list[str]:
    """One line for each instance type."""
    width = max(map(len, catalogue()))
    return [f"{name:<{width}}  {', '.join(_summary(host))}" for name, host in catalogue().items()]


def speed_text(rail: Rail) -> str:
    """A rail's speed in each direction."""
    return f"{rail.gbps:g} Gbit/s" if rail.gbps else "speed unknown"


def _summary(host: HostTopology) -> Iterator[str]:
    yield _count(host.cores, "core")
    yield _count(len(host.numa_nodes), "NUMA node")
    yield f"{_count(len(host.rails), 'rail')} of {speed_text(host.rails[0])}"
    if host.gpus:
        yield _count(len(host.gpus), "GPU")


def _host_lines(host: HostTopology) -> Iterator[str]:
    if host.instance_type:
        yield f"  instance type {host.instance_type}"
    facts = [f"{_count(host.cores, 'core')} with {_count(host.threads_per_core, 'thread')} each"]
    if host.cpu_limit:
        facts.append(f"a quota of {host.cpu_limit:g} processors")
    if host.memory_gbytes_per_s:
        facts.append(f"memory {host.memory_gbytes_per_s:g} GB/s")
    yield "  " + ", ".join(facts)
    for index, node in enumerate(host.numa_nodes):
        yield f"  NUMA node {index}: processors {format_cpus(node.cpus) or 'none'}"
    for index, rail in enumerate(host.rails):
        yield f"  rail {rail.name}: {', '.join(_rail_facts(host, index, rail))}"
    for index, gpu in enumerate(host.gpus):
        yield f"  GPU {index}: {', '.join(_gpu_facts(host, gpu))}"
    if not host.rails:
        yield "  no rails"


def _rail_facts(host: HostTopology, index: int, rail: Rail) -> Iterator[str]:
    yield speed_text(rail)
    yield _numa_text(rail.numa)
    near = host.gpus_near(index)
    if near:
        yield f"nearest to {_numbered('GPU', near)}"


def _gpu_facts(host: HostTopology, gpu: Gpu) -> Iterator[str]:
    yield _numa_text(gpu.numa)
    if gpu.rails:
        yield f"nearest rail {', '.join(host.rails[rail].name for rail in gpu.rails)}"


def _numa_text(numa: int) -> str:
    return "NUMA node unknown" if numa < 0 else f"NUMA node {numa}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _numbered(thing: str, numbers: Sequence[int]) -> str:
    return _numbered_text(thing, format_cpus(numbers))


def _numbered_text(thing: str, text: str) -> str:
    return f"{thing} {text}" if text.isdecimal() else f"{thing}s {text}"

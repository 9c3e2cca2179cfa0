"""The hosts that a plan is for."""

from __future__ import annotations

import itertools

from smddp.errors import SMDDPArgumentError
from smddp.tools.plan.options import Options
from smddp.topology import HostTopology, Rail, Topology, instance, load, load_host

__all__ = ["find_topology"]


def find_topology(options: Options) -> Topology:
    """The topology that the options describe.

    Raises:
        SMDDPArgumentError: they contradict each other, or name what there is not.
    """
    if options.file is not None and options.hosts is None and options.ranks_per_host is None:
        return load(options.file)
    counts = _counts(options)
    ranks = tuple(itertools.chain.from_iterable([host] * count for host, count in enumerate(counts)))
    return Topology(hosts=(_host(options),) * len(counts), host_of_rank=ranks)


def _counts(options: Options) -> tuple[int, ...]:
    """Ranks on each host."""
    counts = options.ranks_per_host or (1,)
    hosts = options.hosts
    if hosts is None:
        hosts = len(counts) if len(counts) > 1 else 2
    if hosts < 1:
        msg = f"--hosts {hosts}: a job needs at least one"
        raise SMDDPArgumentError(msg)
    if len(counts) == 1:
        return counts * hosts
    if len(counts) != hosts:
        msg = f"--hosts {hosts}: --ranks-per-host has {len(counts)} numbers; give one, or one for each host"
        raise SMDDPArgumentError(msg)
    return counts


def _host(options: Options) -> HostTopology:
    if options.instance is not None:
        return instance(options.instance)
    if options.file is not None:
        return load_host(options.file)
    return HostTopology(rails=(Rail(name="eth0", gbps=options.gbps or 0.0),))

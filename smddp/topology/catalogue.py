"""EC2 instance types, from catalogue.toml."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from smddp.errors import SMDDPArgumentError
from smddp.toml_tables import read_toml
from smddp.topology.values import Gpu, HostTopology, NumaNode, Rail

__all__ = ["catalogue", "instance"]


@functools.cache
def catalogue() -> Mapping[str, HostTopology]:
    """All known instance types by name."""
    text = (resources.files("smddp.topology") / "catalogue.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _expand(name, **entry) for name, entry in read_toml(text).items()})


def instance(name: str) -> HostTopology:
    """The host of an instance type.

    Raises:
        SMDDPArgumentError: it is not in the catalogue; names the nearest one.
    """
    known = catalogue()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = f"{name} is no instance type of the catalogue{hint} (smddp topo --list shows all)"
        raise SMDDPArgumentError(msg)
    return known[name]


def _expand(
    name: str, *, vcpus: int, threads: int, rails: int, gbps: float, efa: bool, numa: int = 1, gpus: int = 0
) -> HostTopology:
    """A host whose processors, rails and GPUs are spread evenly over its NUMA nodes, in order."""
    kind = "efa" if efa else "eth"
    return HostTopology(
        instance_type=name,
        threads_per_core=threads,
        numa_nodes=tuple(NumaNode(cpus=_cpus(node, numa, vcpus, threads)) for node in range(numa)),
        rails=tuple(Rail(name=f"{kind}{rail}", gbps=gbps, numa=rail * numa // rails) for rail in range(rails)),
        gpus=tuple(Gpu(numa=gpu * numa // gpus, rails=_rails_of(gpu, gpus, rails)) for gpu in range(gpus)),
    )


def _cpus(node: int, nodes: int, vcpus: int, threads: int) -> tuple[int, ...]:
    """As Linux numbers them: first one thread of each core, then the other one of each."""
    cores = vcpus // threads
    share = cores // nodes
    return tuple(thread * cores + node * share + core for thread in range(threads) for core in range(share))


def _rails_of(gpu: int, gpus: int, rails: int) -> tuple[int, ...]:
    if rails < gpus:
        return (gpu * rails // gpus,)
    return tuple(range(gpu * rails // gpus, (gpu + 1) * rails // gpus))

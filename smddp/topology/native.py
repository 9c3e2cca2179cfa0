"""Topologies as the engine has them, to and from the values of this package."""

from __future__ import annotations

from pathlib import Path

from smddp import _core
from smddp.topology.values import Gpu, HostTopology, NumaNode, Rail, Topology

__all__ = ["balanced_bucket_bytes", "discover_host", "encode_host", "from_native", "to_native", "topology_hash"]


def discover_host(
    socket_ifname: str = "", *, interfaces: list[str] | None = None, root: Path = Path("/")
) -> HostTopology:
    """Describe this host, from the files below `root`/sys and `root`/proc.

    Args:
        socket_ifname: which network interfaces to use, as SMDDP_SOCKET_IFNAME says it.
        interfaces: their names instead, for a `root` that is not this machine's.
        root: where to look.

    Raises:
        SMDDPConfigError: `socket_ifname` leaves no interface.
    """
    names = _core.usable_interfaces(socket_ifname) if interfaces is None else interfaces
    return _host_from_native(_core.discover_host(names, str(root)))


def encode_host(host: HostTopology) -> bytes:
    """The canonical bytes of a host, as Config.topology takes them."""
    return _core.encode_host(_host_to_native(host))


def topology_hash(topology: Topology) -> str:
    """SHA-256 over the canonical bytes of a topology, 64 hexadecimal digits; equal on all ranks of a job."""
    return _core.topology_hash(to_native(topology))


def balanced_bucket_bytes(topology: Topology) -> int:
    """How many bytes of gradients should share one all_reduce between these hosts.

    25 MiB, as torch and the original have it, and more where each host's share of that would not fill a stripe of
    128 KiB on every rail that all hosts have.
    """
    return _core.balanced_bucket_bytes(to_native(topology))


def to_native(topology: Topology) -> _core.Topology:
    """The same value for the engine."""
    native = _core.Topology()
    native.hosts = [_host_to_native(host) for host in topology.hosts]
    native.host_of_rank = list(topology.host_of_rank)
    return native


def from_native(native: _core.Topology) -> Topology:
    """The same value in Python."""
    hosts = tuple(_host_from_native(host) for host in native.hosts)
    return Topology(hosts=hosts, host_of_rank=tuple(native.host_of_rank))


def _host_to_native(host: HostTopology) -> _core.HostTopology:
    native = _core.HostTopology()
    native.instance_type = host.instance_type
    native.threads_per_core = host.threads_per_core
    native.cpu_limit = host.cpu_limit
    native.memory_gbytes_per_s = host.memory_gbytes_per_s
    native.numa_nodes = [_numa_to_native(node) for node in host.numa_nodes]
    native.rails = [_rail_to_native(rail) for rail in host.rails]
    native.gpus = [_gpu_to_native(gpu) for gpu in host.gpus]
    return native


def _numa_to_native(node: NumaNode) -> _core.NumaNode:
    native = _core.NumaNode()
    native.cpus = list(node.cpus)
    return native


def _rail_to_native(rail: Rail) -> _core.Rail:
    native = _core.Rail()
    native.name, native.gbps, native.numa = rail.name, rail.gbps, rail.numa
    return native


def _gpu_to_native(gpu: Gpu) -> _core.Gpu:
    native = _core.Gpu()
    native.numa, native.rails = gpu.numa, list(gpu.rails)
    return native


def _host_from_native(native: _core.HostTopology) -> HostTopology:
    return HostTopology(
        instance_type=native.instance_type,
        threads_per_core=native.threads_per_core,
        cpu_limit=native.cpu_limit,
        memory_gbytes_per_s=native.memory_gbytes_per_s,
        numa_nodes=tuple(NumaNode(cpus=tuple(node.cpus)) for node in native.numa_nodes),
        rails=tuple(Rail(name=rail.name, gbps=rail.gbps, numa=rail.numa) for rail in native.rails),
        gpus=tuple(Gpu(numa=gpu.numa, rails=tuple(gpu.rails)) for gpu in native.gpus),
    )

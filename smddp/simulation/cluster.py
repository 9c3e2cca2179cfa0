"""GPU instances: what the simulator has to know of them besides their topology, with spreads and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from smddp import _core
from smddp.errors import SMDDPArgumentError
from smddp.simulation.native import Network
from smddp.simulation.spread import Spread
from smddp.topology import Topology

__all__ = ["Cluster", "Point", "cluster_of"]

_MODEL_SOURCE = "the spread that this project publishes for what it cannot measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One instance type.

    Attributes:
        tflops: peak of a GPU in float16, dense, 10^12 operations a second.
        in_host: bus bandwidth of all_reduce among a host's GPUs, 10^9 bytes a second.
        in_host_step: how long a collective among them takes without any bytes, us.
        staging: from a GPU to the host's memory or back, 10^9 bytes a second; None: cards read GPU memory.
        hop: between hosts, us.
        message: a processor is busy with one, both ends together, us.
        gap: a rail is busy with each message besides its bytes, us.
        efficiency: the part of a rail's speed that payload gets.
        adding: how fast a rank adds up what came, 10^9 bytes read a second.
        slowest: how much longer one rank's compute takes than another's, standard deviation as a part of it.
        interference: by how much communication slows backward down.
    """

    tflops: Spread
    in_host: Spread
    in_host_step: Spread
    staging: Spread | None
    hop: Spread
    message: Spread
    gap: Spread
    efficiency: Spread
    adding: Spread
    slowest: Spread
    interference: Spread

    def spreads(self) -> dict[str, Spread]:
        """Those that it has, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: spread for name, spread in found.items() if spread is not None}


@dataclass(frozen=True, slots=True)
class Point:
    """One value for each spread of a Cluster."""

    values: Mapping[str, float]

    def network(self, topology: Topology, gpus: int) -> Network:
        """For planner and simulator; every rank uses the rails nearest to it."""
        of = self.values
        costs = _core.Costs()
        costs.hop, costs.message = 1e-6 * of["hop"], 1e-6 * of["message"]
        gbytes = topology.hosts[0].gbps / 8
        costs.link = [_link_rate(1 << power, 1e-6 * of["gap"], 1e-9 / gbytes) for power in range(8, 25)]
        costs.link.append(_core.LinkRate(_ANY_SIZE, 1e-9 / gbytes))
        costs.reduce = 1e-9 / of["adding"]
        costs.native_step = 1e-6 * of["in_host_step"]
        # A reduce_scatter or all_gather of n bytes passes (gpus - 1) / gpus of them on; each GPU stages its own part.
        costs.native = 1e-9 * (gpus - 1) / gpus / of["in_host"]
        if "staging" in of:
            costs.native += 1e-9 / gpus / of["staging"]
        machine = _core.SimulatedMachine()
        machine.efficiency, machine.own_rails = of["efficiency"], True
        return Network(topology=topology, costs=costs, machine=machine)


_ANY_SIZE = (1 << 64) - 1


def _link_rate(nbytes: int, gap: float, seconds_per_byte: float) -> _core.LinkRate:
    # Of the sizes up to `nbytes`, the middle one.
    return _core.LinkRate(nbytes, seconds_per_byte + gap / (0.75 * nbytes))


def cluster_of(instance_type: str) -> Cluster:
    """What is known of an instance type.

    Raises:
        SMDDPArgumentError: nothing is.
    """
    if instance_type not in _CLUSTERS:
        msg = f"{instance_type}: the simulator knows no GPUs of it; choose one of {', '.join(_CLUSTERS)}"
        raise SMDDPArgumentError(msg)
    return _CLUSTERS[instance_type]


def _peak(tflops: float) -> Spread:
    return Spread(low=tflops, likely=tflops, high=tflops, source="NVIDIA's data sheet; utilisation has the spread")


def _efa(*, tflops: float, in_host: Spread, staging: Spread | None = None, adding: Spread | None = None) -> Cluster:
    return Cluster(
        tflops=_peak(tflops),
        in_host=in_host,
        in_host_step=Spread(low=15, likely=25, high=50, source="NCCL's tuner: 15 us for 8 GPUs in the tree, LL"),
        staging=staging,
        hop=Spread(
            low=15,
            likely=20,
            high=75,
            source="AWS Neuron guide: about 15 us; 18 to 20 us measured on p5 and p5en; aws-ofi-nccl: 35 to 75",
        ),
        message=Spread(low=0.5, likely=1, high=3, source="posting and completing in libfabric; recalled"),
        gap=Spread(low=0.05, likely=0.15, high=0.5, source=f"aws-ofi-nccl stripes from 128 KiB on; {_MODEL_SOURCE}"),
        efficiency=Spread(
            low=0.85,
            likely=0.93,
            high=0.97,
            source="97.1 % measured point to point on p5 (le.qun.ch); 0.85: our spread",
        ),
        adding=adding or Spread(low=300, likely=600, high=1200, source="by the GPU, a part of its memory's bandwidth"),
        slowest=Spread(low=0.002, likely=0.005, high=0.015, source=_MODEL_SOURCE),
        interference=Spread(
            low=0, likely=0.01, high=0.04, source="9 to 24 of an A100's 108 processors, part of the time"
        ),
    )


_STAGING = Spread(low=5, likely=6, high=11, source="PCIe 3.0 x16, which two GPUs share")
_BY_PROCESSORS = Spread(low=5, likely=10, high=16, source="a processor adds from memory: smddp bench on x86")
_V100 = Spread(low=90, likely=120, high=135, source="NVLink 2, six links of 25 GB/s; nccl-tests, recalled")
_A100 = Spread(low=200, likely=230, high=240, source="230.8 GB/s on one p4d (NVIDIA/nccl issue 527)")
_H100 = Spread(low=330, likely=370, high=450, source="NVIDIA/nccl-tests issues 212 and 290: ring 370, NVLS more")
_B200 = Spread(low=600, likely=740, high=840, source="NVLink 5 has twice NVLink 4's rate; not measured")
_P3DN = _efa(tflops=125, in_host=_V100, staging=_STAGING, adding=_BY_PROCESSORS)
_P4D = _efa(tflops=312, in_host=_A100)
_P5 = _efa(tflops=989, in_host=_H100)

_CLUSTERS: Mapping[str, Cluster] = MappingProxyType(
    {
        "p3dn.24xlarge": _P3DN,
        "p4d.24xlarge": _P4D,
        "p4de.24xlarge": _P4D,
        "p5.48xlarge": _P5,
        "p5e.48xlarge": _P5,
        "p5en.48xlarge": _P5,
        "p6-b200.48xlarge": _efa(tflops=2250, in_host=_B200),
    }
)

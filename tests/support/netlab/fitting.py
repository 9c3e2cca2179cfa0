"""The simulator's parameters for the network laboratory, fitted to what all_reduces took there."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

from scipy.optimize import least_squares

from smddp import _core
from smddp.simulation.native import Call, Network, simulate
from smddp.topology import HostTopology, Rail, Topology

from support.netlab.all_reduces import calls_in_sample
from support.netlab.spec import BURST

__all__ = ["Shape", "fit", "simulated"]

#: Where the fit begins, in seconds; all are above zero.
START = {
    "hop": 60e-6,
    "message": 30e-6,
    "reduce": 0.1e-9,
    "native_step": 10e-6,
    "native": 0.3e-9,
    "send_byte": 0.2e-9,
    "receive_byte": 0.3e-9,
    "wake": 100e-6,
    "incast": 0.01,
}
#: Of an Ethernet frame of 1514 bytes, those of a TCP stream.
EFFICIENCY = 1448 / 1514
#: More in a row take as long each: what a link lets pass at once is used up by then, or is never.
MOST_CALLS = 16


@dataclasses.dataclass(frozen=True, order=True)
class Shape:
    """An all_reduce of float32 in a laboratory; `rate` is that of each host's one rail, bits per second."""

    hosts: int
    ranks_per_host: int
    rate: int
    algorithm: str
    nbytes: int


def simulated(shape: Shape, values: Mapping[str, float]) -> float:
    """Seconds of a call, by the simulator, on average over a sample's."""
    host = HostTopology(rails=(Rail(name="eth0", gbps=shape.rate / 1e9),))
    topology = Topology.uniform(host, hosts=shape.hosts, ranks_per_host=shape.ranks_per_host)
    costs = _core.Costs()
    machine = _core.SimulatedMachine()
    for name, value in values.items():
        setattr(costs if hasattr(costs, name) else machine, name, value)
    costs.link = [_core.LinkRate((1 << 64) - 1, 8 / shape.rate)]
    machine.efficiency, machine.burst = EFFICIENCY, float(BURST)
    machine.one_machine, machine.processors = True, float(len(os.sched_getaffinity(0)))
    network = Network(topology=topology, costs=costs, machine=machine, order="any")
    calls = [Call(nbytes=shape.nbytes, algorithm=shape.algorithm)] * min(calls_in_sample(shape.nbytes), MOST_CALLS)
    return simulate(calls, network).seconds / len(calls)


def fit(measured: Mapping[Shape, float]) -> dict[str, float]:
    """The values with the least squares of the errors' logarithms; outliers count less."""
    names = list(START)

    def values(logarithms: Sequence[float]) -> dict[str, float]:
        return {name: math.exp(logarithm) for name, logarithm in zip(names, logarithms, strict=True)}

    def errors(logarithms: Sequence[float]) -> list[float]:
        return [math.log(simulated(shape, values(logarithms)) / seconds) for shape, seconds in measured.items()]

    start = [math.log(START[name]) for name in names]
    bounds = ([value - 4 for value in start], [value + 4 for value in start])
    # Steps that rates of events do not hide.
    found = least_squares(errors, start, bounds=bounds, loss="soft_l1", f_scale=0.1, diff_step=0.02)
    return values(found.x.tolist())

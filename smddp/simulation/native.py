"""Collectives and their plans, to the engine's planner and simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from smddp import _core
from smddp.dtypes import DTYPES, OPS
from smddp.errors import SMDDPArgumentError
from smddp.topology import Topology
from smddp.topology.native import to_native

__all__ = ["Call", "Network", "plan_options", "simulate"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A collective as all ranks call it.

    Attributes:
        nbytes: of the whole vector; collectives of blocks cut it into one share for each rank.
        algorithm: its name; empty: the planner's choice.
        ready: when ranks have its data, seconds.
    """

    nbytes: int
    collective: str = "all_reduce"
    dtype: str = "float32"
    op: str = "sum"
    root: int = 0
    algorithm: str = ""
    ready: float = 0.0

    def to_native(self) -> _core.CollectiveCall:
        """The same without algorithm and time.

        Raises:
            SMDDPArgumentError: there is no such collective, dtype or op.
        """
        call = _core.CollectiveCall()
        call.collective = _named("collective", self.collective, _core.Collective.__members__)
        call.dtype = _named("dtype", self.dtype, DTYPES)
        call.op = _named("op", self.op, OPS)
        call.count = self.nbytes // _core.size_of(call.dtype)
        call.root = self.root
        return call


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Between which hosts calls are made, and what everything costs there.

    Attributes:
        costs: of messages, links and memory; None: as the engine takes them for the topology.
        machine: what the simulator knows besides; None: nothing that costs.
        order: as SMDDP_ORDER.
        partials: as SMDDP_PARTIALS.
    """

    topology: Topology
    costs: _core.Costs | None = None
    machine: _core.SimulatedMachine | None = None
    order: str = "canonical"
    partials: str = "native"

    def settings(self) -> _core.PlanSettings:
        """What the planner knows."""
        settings = _core.PlanSettings()
        settings.costs = self.costs or _core.costs_between(to_native(self.topology))
        settings.order = self.order
        settings.partials = self.partials
        return settings


def plan_options(call: Call, network: Network) -> list[_core.PlanOption]:
    """All algorithms: those that may be used first, the planner's choice before all.

    Raises:
        SMDDPArgumentError: nobody could call it so.
    """
    return _core.plan_options(call.to_native(), to_native(network.topology), network.settings())


def simulate(
    calls: Sequence[Call], network: Network, *, in_flight: int = 1, timeline: bool = False, every_rank: bool = False
) -> _core.Simulation:
    """Run the plans of these calls, `in_flight` at once, in virtual time.

    With `timeline` it lists the steps of all ranks simulated; with `every_rank` those are all, also where one could
    stand for another.

    Raises:
        SMDDPArgumentError: what cannot be, or more steps than fit into memory.
    """
    options = _core.SimulationOptions()
    options.in_flight, options.timeline, options.fold = in_flight, timeline, not every_rank
    simulated = []
    for call in calls:
        each = _core.SimulatedCall()
        each.call, each.algorithm, each.ready = call.to_native(), call.algorithm, call.ready
        simulated.append(each)
    machine = network.machine or _core.SimulatedMachine()
    return _core.simulate(simulated, to_native(network.topology), network.settings(), machine, options)


def _named(kind: str, name: str, known: Mapping[str, _T]) -> _T:
    if name not in known:
        msg = f"{name!r} is no {kind}; choose one of {', '.join(known)}"
        raise SMDDPArgumentError(msg)
    return known[name]

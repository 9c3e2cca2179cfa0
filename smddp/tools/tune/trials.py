"""What is measured: few collectives whose plans demand different things, so that each cost shows somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass

from smddp import _core
from smddp.costs.fit import Work
from smddp.simulation.native import Call, Network, plan_options
from smddp.topology import Topology

__all__ = ["COLLECTIVES", "WIDTH", "Trial", "make_trials", "work_of"]

#: In these every rank needs something of every other, so that none runs ahead when they are called back to back.
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter")
#: Not those whose segments depend on each other: the cost model is coarse there, and chooses them for nothing.
_ALGORITHMS = ("mesh", "one_step", "doubling", "halving", "bruck", "ring")
#: Bytes of the vector, about.
_SIZES = (8, 2 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20)
#: Of float32, as gradients are.
WIDTH = 4
#: What puts so many times the bytes of another on the wire is of no use for large vectors.
_MOST_WIRE, _LARGE = 4, 256 << 10


@dataclass(frozen=True, slots=True)
class Trial:
    """A collective of `nbytes` of float32 by an algorithm, and what that demands."""

    collective: str
    algorithm: str
    nbytes: int
    work: Work


def make_trials(topology: Topology) -> list[Trial]:
    """By size; of algorithms that demand the same of these hosts the first."""
    ranks = len(topology.host_of_rank)
    trials: list[Trial] = []
    for size in _SIZES:
        nbytes = -(-size // (WIDTH * ranks)) * WIDTH * ranks
        for collective in COLLECTIVES:
            trials += _different(_trials(Call(nbytes=nbytes, collective=collective), topology))
    return trials


def _trials(call: Call, topology: Topology) -> Iterator[Trial]:
    options = {option.algorithm: option for option in plan_options(call, Network(topology=topology, order="any"))}
    for algorithm in _ALGORITHMS:
        option = options.get(algorithm)
        if option is not None and not option.excluded:
            yield Trial(call.collective, algorithm, call.nbytes, work_of(option.demand))


def _different(trials: Iterator[Trial]) -> Iterator[Trial]:
    by_demand: dict[tuple[float, ...], Trial] = {}
    for trial in trials:
        by_demand.setdefault(astuple(trial.work), trial)
    least = min(trial.work.wire for trial in by_demand.values())
    for trial in by_demand.values():
        if trial.nbytes < _LARGE or trial.work.wire <= _MOST_WIRE * least:
            yield trial


def work_of(demand: _core.Demand) -> Work:
    """A demand in bytes of float32."""
    return Work(
        hops=demand.hops,
        messages=demand.messages,
        wire=WIDTH * demand.wire,
        piece=WIDTH * demand.piece,
        reduced=WIDTH * demand.reduced,
        native_steps=demand.native_steps,
        native=WIDTH * demand.native,
        segments=demand.segments,
    )

"""What planner and simulator say about one collective."""

from __future__ import annotations

from dataclasses import dataclass, replace

from smddp import _core
from smddp.simulation.native import Call, Network, plan_options, simulate

__all__ = ["Answer", "Row", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An algorithm, with what the cost model predicts and the simulator finds, in seconds.

    `excluded` says why it may not be used, and there are no times then.
    """

    algorithm: str
    predicted: float | None
    simulated: float | None
    excluded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All algorithms, the one chosen first, and its simulation."""

    call: Call
    network: Network
    rows: tuple[Row, ...]
    chosen: _core.Simulation


def answer(call: Call, network: Network, *, timeline: bool) -> Answer:
    """Ask planner and simulator; with `timeline`, of jobs of at most 64 ranks every rank is simulated.

    Raises:
        SMDDPArgumentError: nobody could call it so.
    """
    options = plan_options(call, network)
    rows = tuple(_row(option, call, network) for option in options)
    every_rank = len(network.topology.host_of_rank) <= _MOST_RANKS
    chosen = simulate(
        [replace(call, algorithm=_wanted(options[0]))], network, timeline=timeline, every_rank=timeline and every_rank
    )
    return Answer(call=call, network=network, rows=rows, chosen=chosen)


_MOST_RANKS = 64


def _row(option: _core.PlanOption, call: Call, network: Network) -> Row:
    predicted = simulated = None
    if not option.excluded:
        simulated = simulate([replace(call, algorithm=_wanted(option))], network).seconds
        predicted = option.seconds or None
    return Row(algorithm=option.algorithm, predicted=predicted, simulated=simulated, excluded=option.excluded)


def _wanted(option: _core.PlanOption) -> str:
    """Inside one host nothing is chosen."""
    return option.algorithm if option.seconds else ""

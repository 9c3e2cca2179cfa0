"""What was measured and what the costs make of it, for people; and the file's record of where it was measured."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smddp import __version__
from smddp.costs.files import KEYS
from smddp.costs.fit import Fitted, complete, predict
from smddp.costs.native import costs_between, from_native
from smddp.costs.values import ANY_SIZE, Costs
from smddp.simulation.native import Call, Network, plan_options
from smddp.tools.plan.text import duration, size_text
from smddp.tools.topo.text import speed_text
from smddp.tools.tune.measure import Measured
from smddp.topology import Topology

__all__ = ["Report", "defaults_for"]

_CHOSEN_SIZES = tuple(1 << power for power in range(3, 27))
_CHOSEN_COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce")


def defaults_for(topology: Topology) -> Costs:
    """With what the planner plans where nobody measured."""
    return from_native(costs_between(topology, {}, "tcp"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Measurements between the hosts of `topology` over `transport`, and what was fitted to them."""

    topology: Topology
    transport: str
    measured: Sequence[Measured]
    fitted: Fitted

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"measured: {self._place()}"
        yield ""
        yield from self._table()
        yield ""
        yield from (f"error with the {name} costs: {text}" for name, text in self._error_texts().items())
        yield ""
        yield from self._cost_lines()
        yield ""
        yield from self._choices()

    def record(self) -> Iterator[str]:
        """Where and how well it was measured, for the file."""
        now = datetime.datetime.now(datetime.timezone.utc)
        yield "What messages between hosts take, for smddp's planner: SMDDP_COSTS=<this file> (docs/tuning.md)."
        yield f"Measured by smddp {__version__}'s tune at {now:%Y-%m-%d %H:%M} UTC: {self._place()}."
        yield f"Error of {len(self.measured)} measurements: {self._error_texts()['fitted']}."
        yield from self.fitted.notes

    def _known(self) -> dict[str, Costs]:
        defaults = defaults_for(self.topology)
        return {"default": defaults, "fitted": complete(self.fitted.costs, defaults)}

    def _errors(self) -> dict[str, npt.NDArray[np.float64]]:
        """Relative ones, of each measurement, above zero where the prediction is too long."""
        works = [each.trial.work for each in self.measured]
        seconds = np.array([each.seconds for each in self.measured])
        return {name: predict(works, costs) / seconds - 1 for name, costs in self._known().items()}

    def _error_texts(self) -> dict[str, str]:
        return {
            name: f"median {np.median(np.abs(errors)):.0%}, 95 % of them below {np.percentile(np.abs(errors), 95):.0%}"
            for name, errors in self._errors().items()
        }

    def _place(self) -> str:
        hosts = self.topology.hosts
        counts = sorted({len(self.topology.ranks_on(host)) for host in range(len(hosts))})
        ranks = f"{counts[0]} ranks" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} ranks"
        rails = ", ".join(f"{rail.name} ({speed_text(rail)})" for rail in hosts[0].rails) or "none"
        return f"{len(hosts)} hosts x {ranks.replace('1 ranks', '1 rank')}, transport {self.transport}, rails {rails}"

    def _table(self) -> Iterator[str]:
        form = "{:<14}  {:<9}  {:>9}  {:>9}  {:>18}  {:>18}".format
        yield form("", "algorithm", "size", "measured", "default predicts", "fitted predict")
        errors = self._errors()
        for place, each in enumerate(self.measured):
            predicted = (
                f"{duration(each.seconds * (1 + of[place])):>9} {of[place]:>+7.0%}"
                for of in (errors["default"], errors["fitted"])
            )
            trial = each.trial
            yield form(trial.collective, trial.algorithm, size_text(trial.nbytes), duration(each.seconds), *predicted)

    def _cost_lines(self) -> Iterator[str]:
        known = self._known()
        form = "{:<20}  {:>9}  {:>9}".format
        yield form("", "default", "fitted")
        for field, (key, unit) in KEYS.items():
            yield form(key, *(f"{getattr(costs, field) * unit:.3g}" for costs in known.values()))
        default = f"{known['default'].link[-1].seconds_per_byte * 1e9:.3g}"
        for rate in known["fitted"].link:
            size = "any size" if rate.nbytes == ANY_SIZE else f"to {size_text(rate.nbytes)}"
            yield form(f"link ns, {size}", default, f"{rate.seconds_per_byte * 1e9:.3g}")
        yield from self.fitted.notes

    def _choices(self) -> Iterator[str]:
        """Where other algorithms are chosen now, with consecutive sizes on one line."""
        found = []
        for collective in _CHOSEN_COLLECTIVES:
            changes = [(size, *self._chosen(collective, size)) for size in _CHOSEN_SIZES]
            for (before, now), run in itertools.groupby(changes, key=lambda change: change[1:]):
                sizes = [size for size, *_ in run]
                span = size_text(sizes[0]) if len(sizes) == 1 else f"{size_text(sizes[0])} to {size_text(sizes[-1])}"
                if before != now:
                    found.append(f"  {collective} of {span}: {now} instead of {before}")
        yield "Chosen with these costs:" if found else "The same algorithms are chosen with these costs as without."
        yield from found

    def _chosen(self, collective: str, size: int) -> tuple[str, str]:
        costs = {self.transport: self.fitted.costs}
        ranks = len(self.topology.host_of_rank)
        call = Call(nbytes=-(-size // (4 * ranks)) * 4 * ranks, collective=collective)
        networks = (
            Network(topology=self.topology),
            Network(topology=self.topology, costs=costs_between(self.topology, costs, self.transport)),
        )
        before, now = (plan_options(call, network)[0].algorithm for network in networks)
        return before, now

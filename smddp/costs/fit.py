"""Costs fitted to measured times: a pure function.

The cost model (docs/algorithms.md) is a sum of costs, each as often as a plan demands it; what segments overlap makes
it piecewise linear. So the costs are those, none below zero, that make the sum of squares of the relative errors least.
Rates of the link do not rise with the size of messages: each is that of the next size, and something on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
import numpy.typing as npt

from smddp.costs.least_squares import non_negative, uncertainty
from smddp.costs.values import ANY_SIZE, Costs, LinkRate

__all__ = ["EDGES", "Fitted", "Sample", "Work", "complete", "fit", "predict"]

Array = npt.NDArray[np.float64]

#: Messages up to these sizes may have a rate of the link of their own.
EDGES = (16 << 10, 128 << 10, 1 << 20)
_PLAIN = ("hop", "message", "reduce", "native_step", "native")
#: A cost whose standard error is a larger part of it (or of its default, if that is larger) is not told apart.
_DOUBT = 0.5
#: No clock and no machine is better than that, relative; so what no sample tells apart is never taken for certain.
_LEAST_ERROR = 1e-3
#: Of demands that always come in the same proportion the cosine is 1, but for rounding.
_SAME_DIRECTION = 1 - 1e-9
_MOST_PASSES = 20
#: The engine refuses a byte that takes nothing; 10^13 bytes a second are more than any network has.
_LEAST_RATE = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a plan demands along its longest chain, in bytes: smddp::Demand of native/include/smddp/costs.h."""

    hops: float = 0.0
    messages: float = 0.0
    wire: float = 0.0
    piece: float = 0.0
    reduced: float = 0.0
    native_steps: float = 0.0
    native: float = 0.0
    segments: float = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a plan demands, and the seconds that it took."""

    work: Work
    seconds: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """The costs that the samples tell, and in a sentence each what they do not tell."""

    costs: Costs
    notes: tuple[str, ...]


def complete(costs: Costs, defaults: Costs) -> Costs:
    """`costs`, with the defaults where nothing is known."""
    known = {name: getattr(costs, name) for name in _PLAIN if getattr(costs, name) is not None}
    return replace(defaults, link=costs.link or defaults.link, **known)


def predict(works: Sequence[Work], costs: Costs) -> Array:
    """Seconds that each takes by the cost model; everything in `costs` is known. As native/src/plan/costs.cc."""
    of = _Columns(works)
    wire = of.wire * _rates(of.piece, costs.link)
    work = of.reduced * _known(costs.reduce) + of.native * _known(costs.native)
    # A pipeline of two stages: the first segment fills it, then the slower stage is what counts.
    both = (wire + work + (of.segments - 1) * np.maximum(wire, work)) / of.segments
    steps = of.hops * _known(costs.hop) + of.messages * _known(costs.message)
    seconds: Array = steps + of.native_steps * _known(costs.native_step) + both
    return seconds


def fit(samples: Sequence[Sample], defaults: Costs) -> Fitted:
    """The costs of these samples; `defaults` knows everything. What they do not tell apart stays unknown."""
    works = [sample.work for sample in samples]
    seconds = np.array([sample.seconds for sample in samples])
    edges = _edges_of(works)
    wire_leads = np.ones(len(samples), dtype=bool)
    best, least = Fitted(Costs(), ()), np.inf
    for _ in range(_MOST_PASSES):
        found = _Linear(_Columns(works), wire_leads, edges, defaults).solve(seconds)
        known = complete(found.costs, defaults)
        error = float(np.square(predict(works, known) / seconds - 1).sum())
        if error < least:
            best, least = found, error
        now = _wire_leads(_Columns(works), known)
        if (now == wire_leads).all():
            break
        wire_leads = now
    return best


class _Columns:
    """The fields of several works, each as one array."""

    def __init__(self, works: Sequence[Work]) -> None:
        table = np.array([astuple(work) for work in works], dtype=np.float64).reshape(len(works), 8)
        self.hops, self.messages, self.wire, self.piece = table.T[:4]
        self.reduced, self.native_steps, self.native, self.segments = table.T[4:]


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _rates(pieces: Array, link: Sequence[LinkRate]) -> Array:
    rates: Array = np.array([rate.seconds_per_byte for rate in link])[_places([rate.nbytes for rate in link], pieces)]
    return rates


def _places(sizes: Sequence[int], pieces: Sequence[float] | Array) -> npt.NDArray[np.intp]:
    """Of the smallest of these ascending sizes that holds each piece."""
    return np.searchsorted(np.array(sizes, dtype=np.float64), pieces)


def _edges_of(works: Sequence[Work]) -> tuple[int, ...]:
    """Largest sizes of those rates that have a sample, the last for any size."""
    places = _places(EDGES, [work.piece for work in works if work.wire])
    edges = [(*EDGES, ANY_SIZE)[place] for place in sorted(set(places.tolist()))]
    return (*edges[:-1], ANY_SIZE)


def _wire_leads(of: _Columns, costs: Costs) -> npt.NDArray[np.bool_]:
    work = of.reduced * _known(costs.reduce) + of.native * _known(costs.native)
    leads: npt.NDArray[np.bool_] = of.wire * _rates(of.piece, costs.link) >= work
    return leads


class _Linear:
    """The model where it is linear: for samples whose slower stage is known.

    Its unknowns are the costs as parts of `units`, their defaults: those of _PLAIN, then for each size of messages how
    much more a byte takes than in the next larger size.
    """

    def __init__(self, of: _Columns, wire_leads: npt.NDArray[np.bool_], edges: Sequence[int], defaults: Costs) -> None:
        shared = 1 / of.segments
        wire = of.wire * np.where(wire_leads, 1, shared)
        own = np.where(wire_leads, shared, 1)
        plain = [of.hops, of.messages, of.reduced * own, of.native_steps, of.native * own]
        places = _places(edges, of.piece)
        links = [wire * (places <= place) for place in range(len(edges))]
        self._edges = edges
        self._units = np.array(
            [*(_known(getattr(defaults, name)) for name in _PLAIN)] + [defaults.link[-1].seconds_per_byte] * len(edges)
        )
        self._matrix = np.stack([*plain, *links], axis=1) * self._units
        # What is assumed of an unknown that the samples do not tell.
        self._assumed = np.array([1.0] * len(_PLAIN) + [0.0] * (len(edges) - 1) + [1.0])

    def solve(self, seconds: Array) -> Fitted:
        """The costs with which these samples took so long."""
        matrix = self._matrix / seconds[:, None]
        groups, notes = self._groups(matrix)
        fixed = [place for place in range(len(self._units)) if not any(place in group for group in groups)]
        while groups:
            target = 1 - matrix[:, fixed] @ self._assumed[fixed]
            columns = np.stack([matrix[:, group].sum(axis=1) for group in groups], axis=1)
            values = non_negative(columns, target)
            doubts = uncertainty(columns, target - columns @ values, _LEAST_ERROR) / np.maximum(values, 1)
            worst = int(doubts.argmax())
            if doubts[worst] <= _DOUBT:
                return Fitted(self._costs(groups, values), tuple(notes))
            notes += self._unclear(groups[worst])
            fixed += groups.pop(worst)
        return Fitted(Costs(), tuple(notes))

    def _groups(self, matrix: Array) -> tuple[list[list[int]], list[str]]:
        """Unknowns that are told apart from the others; several together keep the proportion of their defaults."""
        lengths = np.sqrt(np.square(matrix).sum(axis=0))
        groups: list[list[int]] = []
        for place in np.flatnonzero(lengths).tolist():
            for group in groups:
                cosine = matrix[:, place] @ matrix[:, group[0]] / lengths[place] / lengths[group[0]]
                if cosine >= _SAME_DIRECTION:
                    group.append(place)
                    break
            else:
                groups.append([place])
        nowhere = [name for name, length in zip(_PLAIN, lengths, strict=False) if not length]
        notes = [f"{' and '.join(nowhere)}: nothing that was measured takes any; the default stays"] if nowhere else []
        notes += [
            f"{' and '.join(map(self._name, group))}: always in the same proportion in what was measured; "
            "they keep that of their defaults"
            for group in groups
            if len(group) > 1
        ]
        return groups, notes

    def _name(self, place: int) -> str:
        return _PLAIN[place] if place < len(_PLAIN) else "link"

    def _unclear(self, group: Sequence[int]) -> list[str]:
        # A rate that is not told from the next one is no news.
        names = [self._name(place) for place in group if self._assumed[place]]
        return [f"{' and '.join(names)}: not told from noise or from the rest; the default stays"] if names else []

    def _costs(self, groups: Sequence[Sequence[int]], values: Array) -> Costs:
        unknowns = {place: value for group, value in zip(groups, values.tolist(), strict=True) for place in group}
        plain = {
            name: unknowns[place] * self._units[place].item() for place, name in enumerate(_PLAIN) if place in unknowns
        }
        return Costs(link=self._link(unknowns), **plain)

    def _link(self, unknowns: dict[int, float]) -> tuple[LinkRate, ...]:
        last = len(self._units) - 1
        if last not in unknowns:
            return ()
        rates: list[LinkRate] = []
        total = 0.0
        for place in range(last, len(_PLAIN) - 1, -1):
            total += unknowns.get(place, 0.0) * self._units[place].item()
            if not rates or total > rates[-1].seconds_per_byte:
                rates.append(LinkRate(self._edges[place - len(_PLAIN)], max(total, _LEAST_RATE)))
        return tuple(reversed(rates))

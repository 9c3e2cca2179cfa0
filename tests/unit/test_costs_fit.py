"""Fitting costs to times: what is recovered, and what is not told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from smddp import _core
from smddp.costs.fit import EDGES, Fitted, Sample, Work, complete, fit, predict
from smddp.costs.least_squares import non_negative, uncertainty
from smddp.costs.native import from_native, overlaid
from smddp.costs.values import ANY_SIZE, Costs, LinkRate
from smddp.simulation.native import Call, Network, plan_options
from smddp.tools.tune.trials import COLLECTIVES, WIDTH, make_trials, work_of
from smddp.topology import HostTopology, Topology

DEFAULTS = from_native(_core.Costs())
#: Times as parts of their defaults: from RDMA to a slow virtual machine.
PARTS = st.floats(0.1, 10)


def works_of(hosts: int, ranks: int) -> list[Work]:
    """What smddp tune measures there."""
    topology = Topology.uniform(HostTopology(), hosts=hosts, ranks_per_host=ranks)
    return [trial.work for trial in make_trials(topology)]


@st.composite
def all_costs(draw: st.DrawFn) -> Costs:
    plain = {
        name: draw(PARTS) * getattr(DEFAULTS, name) for name in ("hop", "message", "reduce", "native_step", "native")
    }
    rate = draw(PARTS) * DEFAULTS.link[-1].seconds_per_byte
    rates = [rate]
    for _ in EDGES:
        rates.append(rates[-1] * draw(st.sampled_from([1.0, 1.5, 2.0])))
    sizes = (ANY_SIZE, *reversed(EDGES))
    return Costs(link=tuple(LinkRate(*pair) for pair in zip(reversed(sizes), reversed(rates), strict=True)), **plain)


def timed(works: list[Work], costs: Costs, noise: float = 0.0, seed: int = 0) -> list[Sample]:
    seconds = predict(works, costs) * np.exp(noise * np.random.default_rng(seed).normal(size=len(works)))
    return [Sample(work, time) for work, time in zip(works, seconds.tolist(), strict=True)]


def errors_of(found: Fitted, works: list[Work], costs: Costs) -> np.ndarray:
    return np.abs(predict(works, complete(found.costs, DEFAULTS)) / predict(works, costs) - 1)


@given(all_costs(), st.sampled_from([(2, 1), (3, 1), (4, 2), (16, 8)]), st.integers(0, 1 << 22))
@settings(deadline=None)
def test_predictions_are_the_planners(costs: Costs, shape: tuple[int, int], count: int) -> None:
    hosts, ranks = shape
    topology = Topology.uniform(HostTopology(), hosts=hosts, ranks_per_host=ranks)
    native = overlaid(_core.Costs(), costs)
    for collective in (*COLLECTIVES, "broadcast", "reduce", "barrier", "all_to_all"):
        call = Call(nbytes=WIDTH * count * hosts * ranks, collective=collective)
        for option in plan_options(call, Network(topology=topology, costs=native, order="any")):
            assert predict([work_of(option.demand)], costs)[0] == pytest.approx(option.seconds, rel=1e-9)


@given(all_costs(), st.sampled_from([(3, 1), (4, 1), (8, 1)]))
@settings(deadline=None)
def test_costs_are_recovered(costs: Costs, shape: tuple[int, int]) -> None:
    works = works_of(*shape)
    found = fit(timed(works, costs), DEFAULTS)
    assert errors_of(found, works, costs).max() < 0.02
    for name in ("hop", "message"):
        assert getattr(found.costs, name) == pytest.approx(getattr(costs, name), rel=0.1)
    assert found.costs.link[-1].seconds_per_byte == pytest.approx(costs.link[-1].seconds_per_byte, rel=0.1)
    assert found.costs.native_step is found.costs.native is None


@given(all_costs(), st.sampled_from([(2, 1), (2, 4), (4, 2), (8, 4)]), st.integers(0, 1000))
@settings(deadline=None, derandomize=True)  # who looks for unlucky noise finds it
def test_predictions_bear_noise(costs: Costs, shape: tuple[int, int], seed: int) -> None:
    works = works_of(*shape)
    found = fit(timed(works, costs, 0.1, seed), DEFAULTS)
    errors = errors_of(found, works, costs)
    assert np.median(errors) < 0.06
    assert np.percentile(errors, 95) < 0.3
    assert fit(timed(works, costs, 0.1, seed), DEFAULTS) == found


@given(all_costs(), st.integers(0, 1000))
@settings(deadline=None)
def test_rates_fall_with_the_size(costs: Costs, seed: int) -> None:
    link = fit(timed(works_of(4, 2), costs, 0.3, seed), DEFAULTS).costs.link
    assert [rate.nbytes for rate in link] == sorted({rate.nbytes for rate in link})
    rates = [rate.seconds_per_byte for rate in link]
    assert rates == sorted(set(rates), reverse=True)
    assert {rate.nbytes for rate in link} <= {*EDGES, ANY_SIZE}


def test_what_always_comes_together_keeps_the_proportion_of_the_defaults() -> None:
    costs = Costs(hop=100e-6, message=70e-6, link=DEFAULTS.link, reduce=1e-9, native_step=1e-6, native=1e-9)
    found = fit(timed(works_of(2, 1), costs), DEFAULTS)
    assert found.costs.hop + found.costs.message == pytest.approx(170e-6, rel=0.01)
    assert found.costs.hop / found.costs.message == pytest.approx(DEFAULTS.hop / DEFAULTS.message)
    assert found.notes == (
        "native_step and native: nothing that was measured takes any; the default stays",
        "hop and message: always in the same proportion in what was measured; they keep that of their defaults",
    )


def test_too_little_gives_the_defaults() -> None:
    nothing = fit([], DEFAULTS)
    assert nothing.costs == Costs()
    assert len(nothing.notes) == 1
    # Small messages say nothing about bytes.
    works = [Work(hops=hops, messages=hops, wire=8, piece=8, reduced=16) for hops in (1, 2, 3)]
    found = fit(timed(works, DEFAULTS, 0.05), DEFAULTS)
    assert (found.costs.link, found.costs.reduce) == ((), None)
    assert found.costs.hop == pytest.approx(DEFAULTS.hop, rel=0.1)
    assert any("not told from noise" in note for note in found.notes)


def test_a_demand_alone_is_priced() -> None:
    found = fit([Sample(Work(hops=2), 50e-6), Sample(Work(hops=4), 100e-6)], DEFAULTS)
    assert found.costs.hop == pytest.approx(25e-6)
    assert found.costs.message is None


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 1000), st.booleans())
@settings(deadline=None)
def test_least_squares_are_scipys(rows: int, unknowns: int, seed: int, solvable: bool) -> None:
    random = np.random.default_rng(seed)
    matrix = random.random((rows, unknowns)) * random.choice([1, 1e-3, 100], unknowns)
    matrix *= random.random((rows, unknowns)) > 0.3
    if seed % 3 == 0:
        matrix[:, -1] = 2 * matrix[:, 0]
    target = matrix @ np.maximum(random.normal(size=unknowns), 0) if solvable else random.normal(size=rows)
    found = non_negative(matrix, target)
    assert (found >= 0).all()
    assert np.linalg.norm(matrix @ found - target) <= nnls(matrix, target)[1] + 1e-9


def test_uncertainty_of_a_mean() -> None:
    residuals = np.array([1.0, -1.0, 1.0, -1.0])
    assert uncertainty(np.ones((4, 1)), residuals, 0.0) == pytest.approx(math.sqrt(4 / 3 / 4))
    assert uncertainty(np.ones((4, 2)), residuals, 0.0).min() > 1e6
    assert uncertainty(np.ones((1, 2)), np.zeros(1), 0.0).tolist() == [math.inf] * 2

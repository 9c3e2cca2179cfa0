"""The simulator against the network laboratory: fitted to some shapes and sizes, compared on others; run with -m perf.

    pytest -m perf -s tests/perf/test_simulator.py

Times are those of the fastest round: what else runs on the machine only adds. The choice is the algorithm with the
shortest simulated time.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from system.conftest import hosts_possible  # noqa: F401 - a fixture

from support.netlab.fitting import Shape, fit, simulated
from support.netlab.measure import Trial, measure, torch_template
from support.netlab.spec import LabSpec

pytestmark = [pytest.mark.perf, pytest.mark.timeout(1800), pytest.mark.usefixtures("hosts_possible")]

ALGORITHMS = ("mesh", "one_step", "doubling", "halving", "ring")
#: Line rate by number of hosts, bits per second.
RATES = {2: 10**9, 4: 10**9, 8: 2 * 10**8}
#: Hosts and ranks on each, and sizes. The two sets have no shape and no size in common. 2 x 1 has a processor for each
#: rank, 4 x 1 has not, and in 4 x 2 hosts have native steps: one effect after the other.
FITTED = [(2, 1), (4, 1), (4, 2)], [8, 64 << 10, 1 << 20, 16 << 20]
COMPARED = [(2, 2), (2, 4), (8, 1)], [1 << 10, 32 << 10, 256 << 10, 4 << 20]

ROUNDS = 12
MEDIAN_ERROR, P95_ERROR = 0.10, 0.20
#: What the choice may cost above the best one measured.
REGRET = 0.05


def measured_shapes(shapes: list[tuple[int, int]], sizes: list[int]) -> Iterator[tuple[Shape, float]]:
    with torch_template() as template:
        for (hosts, ranks), algorithm in itertools.product(shapes, ALGORITHMS):
            spec = LabSpec(hosts=hosts, rails=(RATES[hosts],))
            env = {"SMDDP_ORDER": "any", "SMDDP_ALGORITHM": f"all_reduce={algorithm}"}
            trial = Trial(spec=spec, ranks_per_host=ranks, sizes=sizes, backends=("smddp",), rounds=ROUNDS, env=env)
            for figures in measure(trial, template).values():
                shape = Shape(hosts, ranks, RATES[hosts], algorithm, figures.nbytes)
                print(f"{shape}: {1e6 * figures.fastest:.0f} us", flush=True)
                yield shape, figures.fastest


@pytest.fixture(scope="module")
def fitted() -> dict[str, float]:
    values = fit(dict(measured_shapes(*FITTED)))
    print("fitted:", ", ".join(f"{name} {value:.3g}" for name, value in values.items()))
    return values


@pytest.fixture(scope="module")
def compared() -> dict[Shape, float]:
    return dict(measured_shapes(*COMPARED))


def test_times(fitted: dict[str, float], compared: dict[Shape, float]) -> None:
    ratios = {shape: simulated(shape, fitted) / seconds for shape, seconds in compared.items()}
    for shape, ratio in ratios.items():
        print(f"{shape}: simulated is {ratio:.3f} of measured")
    errors = [abs(ratio - 1) for ratio in ratios.values()]
    median, high = statistics.median(errors), float(np.percentile(errors, 95))
    print(f"error of {len(errors)} shapes: median {median:.3f} (at most {MEDIAN_ERROR}), 95 % {high:.3f} ({P95_ERROR})")
    assert median <= MEDIAN_ERROR
    assert high <= P95_ERROR


def test_choice(fitted: dict[str, float], compared: dict[Shape, float]) -> None:
    regrets = []
    for key, group in groups(compared).items():
        choice = min(group, key=lambda shape: simulated(shape, fitted))
        best = min(group, key=lambda shape: group[shape])
        regrets.append(group[choice] / group[best] - 1)
        print(f"{key}: chosen {choice.algorithm}, best {best.algorithm}, costs {regrets[-1]:.3f} more")
    print(f"the choice costs {statistics.median(regrets):.3f} more (median), at most {max(regrets):.3f} ({REGRET})")
    assert max(regrets) <= REGRET


def groups(measured: Mapping[Shape, float]) -> dict[tuple[int, int, int], dict[Shape, float]]:
    found: dict[tuple[int, int, int], dict[Shape, float]] = {}
    for shape, seconds in measured.items():
        found.setdefault((shape.hosts, shape.ranks_per_host, shape.nbytes), {})[shape] = seconds
    return found

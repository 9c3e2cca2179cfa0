"""all_reduce over several rails of the network laboratory, beside one rail in the same run; run with -m perf.

pytest -m perf -s tests/perf/test_rails.py
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import pytest
from conformance.worlds import skip_without
from system.conftest import hosts_possible  # noqa: F401 - a fixture

from support.netlab.measure import Trial, measure, torch_template
from support.netlab.spec import LabSpec

pytestmark = [pytest.mark.perf, pytest.mark.timeout(400), pytest.mark.usefixtures("hosts_possible")]

GBIT = 10**9
NBYTES = 16 << 20
ROUNDS = 15
#: Of the rate over one rail, with two of its speed.
LEAST_OF_TWO = 1.85
LEAST_OF_TWO_WITH_OFI = 1.7
#: Of the sum of what each rail gets alone, with a fast and a slow one.
LEAST_OF_SUM = 0.90

#: Bytes per second of all_reduce between two hosts whose rails have these line rates.
Rate = Callable[[tuple[int, ...]], float]


def trial_over(rails: tuple[int, ...], env: Mapping[str, str] | None = None) -> Trial:
    """all_reduce between two hosts whose rails have these line rates."""
    return Trial(
        spec=LabSpec(hosts=2, rails=rails),
        ranks_per_host=1,
        sizes=(NBYTES,),
        backends=("smddp",),
        rounds=ROUNDS,
        env=env or {},
    )


@pytest.fixture(scope="module")
def rate() -> Iterator[Rate]:
    with torch_template() as template:

        @functools.cache
        def measured(rails: tuple[int, ...]) -> float:
            return NBYTES / measure(trial_over(rails), template)["smddp", NBYTES].seconds

        yield measured


def test_two_equal_rails(rate: Rate) -> None:
    ratio = rate((GBIT, GBIT)) / rate((GBIT,))
    print(f"two rails of 1 Gbit/s: {ratio:.3f} of one (at least {LEAST_OF_TWO})")
    assert ratio >= LEAST_OF_TWO


def test_two_equal_rails_with_ofi() -> None:
    skip_without("ofi")
    env = {"SMDDP_TRANSPORT": "shm+ofi", "SMDDP_OFI_PROVIDER": "tcp"}
    with torch_template() as template:
        seconds = {
            rails: measure(trial_over((GBIT,) * rails, env), template)["smddp", NBYTES].seconds for rails in (1, 2)
        }
    ratio = seconds[1] / seconds[2]
    print(f"ofi over two rails of 1 Gbit/s: {ratio:.3f} of the rate of one (at least {LEAST_OF_TWO_WITH_OFI})")
    assert ratio >= LEAST_OF_TWO_WITH_OFI


@pytest.mark.parametrize("rails", [(GBIT, GBIT // 2), (GBIT // 2, GBIT)], ids=["fast first", "slow first"])
def test_rails_of_different_speed(rails: tuple[int, int], rate: Rate) -> None:
    ratio = rate(rails) / (rate((GBIT,)) + rate((GBIT // 2,)))
    print(f"rails of 1 and 0.5 Gbit/s: {ratio:.3f} of the sum of what each gets alone (at least {LEAST_OF_SUM})")
    assert ratio >= LEAST_OF_SUM

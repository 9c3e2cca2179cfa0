"""all_reduce between hosts of the network laboratory, beside the line rate and gloo in the same run; run with -m perf.

    pytest -m perf -s tests/perf/test_many_hosts.py

Rates are such that the processors of a small machine are not the limit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from system.conftest import hosts_possible  # noqa: F401 - a fixture

from support.netlab.lab import netlab
from support.netlab.measure import Figures, Trial, measure, torch_template
from support.netlab.spec import LabSpec
from support.netlab.stream import send_stream

pytestmark = [pytest.mark.perf, pytest.mark.timeout(400), pytest.mark.usefixtures("hosts_possible")]

#: Line rate by number of hosts, bits per second.
RATES = {2: 10**9, 4: 10**9, 8: 2 * 10**8}
#: How ranks of different hosts reach each other, as variables.
TRANSPORTS: dict[str, dict[str, str]] = {"tcp": {}}
SMALL, LARGE = 8, 16 << 20
#: Bus bandwidth of a host, of the line rate.
LEAST_OF_LINE = 0.92
#: Time of LARGE, of gloo's, by ranks on each host.
MOST_OF_GLOO = {1: 1 / 0.98, 2: 0.76, 4: 0.64}
#: Time of SMALL, of gloo's, with one rank on each host.
MOST_OF_GLOOS_LATENCY = 1 / 3
#: Bytes that leave a host, of those with one rank on each.
MOST_BYTES = 1.01
#: What a TCP stream gets, of the share of the line that frames of 1500 bytes leave to it.
LEAST_OF_PAYLOAD = 0.97
PAYLOAD = 1448 / 1514

#: `figures(hosts, ranks on each, transport)`: of both sizes, by backend and size.
Measured = Callable[[int, int, str], dict[tuple[str, int], Figures]]


@pytest.fixture(scope="module")
def figures() -> Iterator[Measured]:
    with torch_template() as template:

        @functools.cache
        def measured(hosts: int, ranks: int, transport: str) -> dict[tuple[str, int], Figures]:
            spec = LabSpec(hosts=hosts, rails=(RATES[hosts],))
            return measure(
                Trial(spec=spec, ranks_per_host=ranks, sizes=(SMALL, LARGE), env=TRANSPORTS[transport]), template
            )

        yield measured


@pytest.mark.parametrize("rate", sorted(set(RATES.values())))
def test_links_have_their_rate(rate: int) -> None:
    with netlab(LabSpec(hosts=2, rails=(rate,))) as lab:
        part = max(send_stream(lab, 0, 1, seconds=4) for _ in range(3)) / rate
    print(f"a stream of TCP: {part:.3f} of {rate / 1e6:.0f} Mbit/s ({part / PAYLOAD:.3f} of the most there is)")
    assert LEAST_OF_PAYLOAD <= part / PAYLOAD <= 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("ranks", MOST_OF_GLOO)
@pytest.mark.parametrize("hosts", RATES)
def test_large_arrays(hosts: int, ranks: int, transport: str, figures: Measured) -> None:
    found = figures(hosts, ranks, transport)
    ours, gloos = found["smddp", LARGE], found["gloo", LARGE]
    bytes_of_one = figures(hosts, 1, transport)["smddp", LARGE].sent
    ratio = ours.seconds / gloos.seconds
    print(
        f"{hosts} x {ranks}: {ours.of_line:.3f} of the line (at least {LEAST_OF_LINE}), gloo {gloos.of_line:.3f}; "
        f"{ratio:.3f} of gloo's time (at most {MOST_OF_GLOO[ranks]:.2f}); bytes sent {ours.sent / ours.fewest:.3f} of "
        f"the fewest, gloo {gloos.sent / gloos.fewest:.3f}"
    )
    assert ours.sent <= MOST_BYTES * bytes_of_one
    assert ours.of_line is not None
    assert ours.of_line >= LEAST_OF_LINE
    assert ratio <= MOST_OF_GLOO[ranks]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("hosts", RATES)
def test_latency(hosts: int, transport: str, figures: Measured) -> None:
    found = figures(hosts, 1, transport)
    ours, gloos = (found[backend, SMALL].seconds for backend in ("smddp", "gloo"))
    print(f"{hosts} hosts, {SMALL} B: {1e6 * ours:.0f} us, gloo {1e6 * gloos:.0f} us: {ours / gloos:.3f}")
    assert ours <= MOST_OF_GLOOS_LATENCY * gloos

from __future__ import annotations

from typing import Any

import pytest

from support.netlab.spec import LabSpec, cable_lines, host_lines, parse_rate, rate_lines


@pytest.mark.parametrize(
    ("text", "rate"), [("1gbit", 10**9), ("2.5Gbit", 2_500_000_000), ("200mbit", 200_000_000), ("64kbit", 64_000)]
)
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "1", "gbit", "1 gbit", "1gbit/s", "-1gbit"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate; write it like 200mbit or 1gbit"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("problem", "arguments"),
    [
        ("0 hosts", {"hosts": 0}),
        ("251 hosts", {"hosts": 251}),
        ("0 rails", {"hosts": 2, "rails": ()}),
        ("rail 1 of host 0", {"hosts": 2, "slower": {(0, 1): 10**6}}),
        ("rail 0 of host 2", {"hosts": 2, "slower": {(2, 0): 10**6}}),
    ],
)
def test_impossible(problem: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=problem):
        LabSpec(**arguments)


def test_addresses_and_ports_differ() -> None:
    spec = LabSpec(hosts=250, rails=(None,) * 4)
    places = [(host, rail) for host in range(250) for rail in range(4)]
    assert len({spec.address(*place) for place in places}) == len({spec.port(*place) for place in places}) == 1000
    assert max(len(spec.port(*place)) for place in places) <= 15, "longer than Linux lets an interface's name be"


def test_single_nics_have_other_rates() -> None:
    spec = LabSpec(hosts=2, rails=(10**9, None), slower={(1, 0): 10**8, (0, 1): 10**7})
    assert [spec.rate(host, rail) for host in range(2) for rail in range(2)] == [10**9, 10**7, 10**8, None]


def test_lines() -> None:
    spec = LabSpec(hosts=2, rails=(10**9, 10**9), mtu=9001, buffer=5000)
    assert list(cable_lines(spec, [70, 80]))[4:6] == [
        "link add node1-eth0 master rail0 mtu 9001 type veth peer name eth0 mtu 9001 netns 80",
        "link set node1-eth0 up",
    ]
    assert list(host_lines(spec, 1))[2:] == ["address add 10.0.1.2/24 brd + dev eth1", "link set eth1 up"]
    assert rate_lines(spec, 1, 1, 8 * 10**9) == (
        "qdisc replace dev eth1 root tbf rate 8000000000bit burst 1000000 limit 17777216",
        "qdisc replace dev node1-eth1 root tbf rate 8000000000bit burst 1000000 limit 1005000",
    )
    assert spec.hosts_file().splitlines()[3:] == ["10.0.0.2 node1", "::ffff:10.0.0.2 node1"]

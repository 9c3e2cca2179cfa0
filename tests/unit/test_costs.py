"""Costs as values, as files and for the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp import _core
from smddp.config import Settings
from smddp.config_native import _encoded_costs, to_native
from smddp.costs import Costs, dumps, load
from smddp.costs.files import KEYS, loads
from smddp.costs.native import costs_between, encode_costs, from_native, overlaid
from smddp.costs.values import ANY_SIZE, LinkRate
from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.topology import HostTopology, Rail, Topology

SECONDS = st.floats(0, 1e-2, allow_nan=False)
RATES = st.floats(1e-12, 1e-6)
TOPOLOGY = Topology.uniform(HostTopology(rails=(Rail(name="eth0", gbps=25.0),)), hosts=2)


@st.composite
def costs(draw: st.DrawFn) -> Costs:
    sizes = draw(st.lists(st.integers(1, ANY_SIZE - 1), unique=True, max_size=3))
    link = tuple(LinkRate(size, draw(RATES)) for size in [*sorted(sizes), ANY_SIZE]) if draw(st.booleans()) else ()
    return Costs(link=link, **{field: draw(SECONDS | st.none()) for field in KEYS})


@given(st.dictionaries(st.sampled_from(["tcp", "ofi"]), costs(), min_size=1), st.lists(st.sampled_from(["a b", ""])))
def test_costs_survive_the_file(table: dict[str, Costs], comments: list[str]) -> None:
    found = loads(dumps(table, comments), source="it")
    assert list(found) == list(table)
    for transport, each in table.items():
        assert [rate.nbytes for rate in found[transport].link] == [rate.nbytes for rate in each.link]
        for got, wanted in zip(_numbers(found[transport]), _numbers(each), strict=True):
            assert got == (wanted if wanted is None else pytest.approx(wanted, rel=1e-3, abs=1e-15))


def _numbers(costs: Costs) -> list[float | None]:
    return [*(getattr(costs, field) for field in KEYS), *(rate.seconds_per_byte for rate in costs.link)]


def test_a_file_as_people_write_it() -> None:
    text = """
    [transport.tcp]
    hop_us = 40           # a whole number is a number
    native_ns_per_byte = 0.25
    [[transport.tcp.link]]
    up_to_bytes = 16384
    ns_per_byte = 0.9
    [[transport.tcp.link]]
    ns_per_byte = 0.7
    [transport.ofi]
    message_us = 0.5
    """
    found = loads(text, source="it")
    assert list(found) == ["tcp", "ofi"]
    wanted = [40e-6, None, None, None, 0.25e-9, 0.9e-9, 0.7e-9]
    assert _numbers(found["tcp"]) == [None if each is None else pytest.approx(each) for each in wanted]
    assert [rate.nbytes for rate in found["tcp"].link] == [16384, ANY_SIZE]
    assert _numbers(found["ofi"]) == [None, pytest.approx(0.5e-6), None, None, None]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "at the top: there is no [transport.tcp] or other transport"),
        ("hop_us = 3", "at the top: unknown key 'hop_us'; known are transport"),
        ("transport = 3", "at the top: transport must be written as [transport.NAME], not 3"),
        ("[transport.tpc]", "transport: unknown key 'tpc'; did you mean tcp?"),
        ("[transport]\ntcp = 3", "transport: tcp must be written as [transport.tcp], not 3"),
        ("[transport.tcp]\nhop = 3", "transport.tcp: unknown key 'hop'; did you mean hop_us?"),
        ("[transport.tcp]\nhop_us = 'x'", "transport.tcp: hop_us must be a number, not 'x'"),
        ("[transport.tcp]\nhop_us = true", "transport.tcp: hop_us must be a number, not True"),
        ("[transport.tcp]\nhop_us = -1", "transport.tcp: hop_us must be a number from 0 on, not -1"),
        ("[transport.tcp]\nhop_us = nan", "transport.tcp: hop_us must be a number from 0 on, not nan"),
        ("[transport.tcp]\nhop_us = inf", "transport.tcp: hop_us must be a number from 0 on, not inf"),
        ("[[transport.tcp.link]]", "transport.tcp, link 0: ns_per_byte is missing; it must be a number"),
        ("[[transport.tcp.link]]\nns_per_byte = 0", "transport.tcp, link 0: ns_per_byte must be more than 0"),
        (
            "[[transport.tcp.link]]\nns_per_byte = 1\nup_to_bytes = 0",
            "transport.tcp, link 0: up_to_bytes must be a number of bytes from 1 on, not 0",
        ),
        (
            "[[transport.tcp.link]]\nns_per_byte = 1\nup_to_bytes = 9",
            "transport.tcp: link: the last rate must be that of any size, not of up to 9 bytes",
        ),
        (
            "[[transport.tcp.link]]\nns_per_byte = 1\n[[transport.tcp.link]]\nns_per_byte = 2",
            "transport.tcp: link: sizes must ascend from 1",
        ),
        ("[transport.tcp]\nlink = 3", "transport.tcp: link must be written as [[link]], not 3"),
        ("[transport.tcp", "Expected ']'"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, problem: str) -> None:
    with pytest.raises(SMDDPConfigError) as refusal:
        loads(text, source="it.toml")
    assert str(refusal.value).startswith(f"it.toml: {problem}")
    assert "\n" not in str(refusal.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SMDDPConfigError, match=r"^cannot read .*nosuch\.toml: No such file or directory$"):
        load(tmp_path / "nosuch.toml")


def test_values_that_cannot_be() -> None:
    with pytest.raises(SMDDPArgumentError, match="hop: must be a time from 0 on, not -1"):
        Costs(hop=-1)
    with pytest.raises(SMDDPArgumentError, match="a byte takes more than nothing"):
        Costs(link=(LinkRate(ANY_SIZE, 0.0),))


@given(costs())
def test_the_engine_plans_with_what_is_known_and_its_defaults(costs: Costs) -> None:
    found = from_native(costs_between(TOPOLOGY, {"tcp": costs}, "tcp"))
    defaults = from_native(costs_between(TOPOLOGY, {}, "tcp"))
    assert defaults.link == (LinkRate(ANY_SIZE, 8e-9 / 25),)
    assert found.link == (costs.link or defaults.link)
    for field in KEYS:
        known = getattr(costs, field)
        assert getattr(found, field) == (getattr(defaults, field) if known is None else known)
    assert from_native(costs_between(TOPOLOGY, {"tcp": costs}, "ofi")) == defaults
    assert from_native(overlaid(costs_between(TOPOLOGY, {}, "tcp"), costs)) == found


def test_bytes_are_equal_for_what_means_the_same() -> None:
    default = from_native(_core.Costs())
    assert encode_costs({"tcp": Costs(hop=default.hop)}) == encode_costs({"tcp": Costs()})
    assert encode_costs({"tcp": Costs(link=default.link)}) != encode_costs({"tcp": Costs()})
    assert encode_costs({"tcp": Costs(hop=1e-6), "ofi": Costs()}) == encode_costs(
        {"ofi": Costs(), "tcp": Costs(hop=1e-6)}
    )
    assert encode_costs({"tcp": Costs(hop=1e-6)}) != encode_costs({"ofi": Costs(hop=1e-6)})


def test_the_setting_is_read_once_and_problems_go_to_the_meeting(tmp_path: Path) -> None:
    _encoded_costs.cache_clear()
    assert to_native(Settings()).costs == b""
    path = tmp_path / "costs.toml"
    native = to_native(Settings(costs=str(path)))
    assert (native.costs, native.costs_problem) == (b"", f"cannot read {path}: No such file or directory")
    _encoded_costs.cache_clear()
    path.write_text("[transport.tcp]\nhop_us = 1", encoding="utf-8")
    expected = encode_costs(load(path))
    for later in ("[transport.tcp]\nhop_us = 2", "no TOML"):
        native = to_native(Settings(costs=str(path)))
        assert (native.costs, native.costs_problem) == (expected, "")
        path.write_text(later, encoding="utf-8")

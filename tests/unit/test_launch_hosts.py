from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.errors import SMDDPArgumentError
from smddp.launch.hosts import format_hosts, parse_host_list, parse_hostfile, place, slot_total
from smddp.launch.spec import Host

pytestmark = pytest.mark.timeout(30)

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)
host_lists = st.lists(
    st.builds(Host, names, st.none() | st.integers(1, 500)),
    min_size=1,
    max_size=9,
    unique_by=lambda h: h.name,
)


def test_host_list() -> None:
    assert parse_host_list("a:2, node-3.x.y:16,b") == (Host("a", 2), Host("node-3.x.y", 16), Host("b"))


@given(host_lists)
def test_host_list_round_trip(hosts: list[Host]) -> None:
    assert parse_host_list(format_hosts(hosts)) == tuple(hosts)


@given(host_lists)
def test_host_file_round_trip(hosts: list[Host]) -> None:
    lines = [h.name if h.slots is None else f"{h.name} slots={h.slots}" for h in hosts]
    assert parse_hostfile("\n".join(lines), "f") == tuple(hosts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (",", "no valid host name"),
        ("a:2,", "no valid host name"),
        ("a:", "'' is not a slot count for host a"),
        ("a:0", "'0' is not a slot count"),
        ("a:-1", "'-1' is not a slot count"),
        ("a:2:3", "'2:3' is not a slot count"),
        ("a:1000000", "not a slot count"),
        ("a:two", "'two' is not a slot count"),
        ("a b:2", "no valid host name"),
        ("-a:2", "no valid host name"),
        ("a:1,b,a", "host a is listed twice"),
    ],
)
def test_bad_host_list(text: str, message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message) as caught:
        parse_host_list(text)
    assert "\n" not in str(caught.value)


def test_host_file() -> None:
    text = "# the cluster\n\na slots=2   # two\nb:3\nc\n\td\tslots = 4\n"
    assert parse_hostfile(text, "f") == (Host("a", 2), Host("b", 3), Host("c"), Host("d", 4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a slots=2 max_slots=4\nb max-slots=8 slots=3\n", "a:2,b:3"),
        ("a\na\nb\na\nc\n", "a:3,b,c"),
        ("a 4 all.q@a <NULL>\nb 2 all.q@b UNDEFINED\n", "a:4,b:2"),
    ],
)
def test_host_files_of_schedulers(text: str, expected: str) -> None:
    assert format_hosts(parse_hostfile(text, "f")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: no host"),
        ("# nothing\n\n", "f: no host"),
        ("a\nb slot=2", "f, line 2: 'b slot=2' is not a host line"),
        ("a slots=", "f, line 1: '' is not a slot count"),
        ("a slots=x", "f, line 1: 'x' is not a slot count"),
        ("a:2 slots=2", "f, line 1: .* is not a host line"),
        ("a:1\n\na:2", "host a is listed twice"),
        ("a\na:2", "host a is listed twice"),
        ("a 2", "f, line 1: 'a 2' is not a host line"),
    ],
)
def test_bad_host_file(text: str, message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message):
        parse_hostfile(text, "f")


def test_slot_total_counts_a_bare_host_once() -> None:
    assert slot_total((Host("a", 3), Host("b"))) == 4


@pytest.mark.parametrize(
    ("hosts", "count", "oversubscribe", "expected"),
    [
        ("a:2,b:2", 4, False, "a:2,b:2"),
        ("a:2,b:2", 3, False, "a:2,b:2"),
        ("a,b", 2, False, "a:1,b:1"),
        ("a,b", 5, False, "a:3,b:2"),
        ("a", 4, False, "a:4"),
        ("a:2,b:2", 6, True, "a:3,b:3"),
        ("a:1,b:3", 8, True, "a:2,b:6"),
        ("a:2,b:2", 2, True, "a:2,b:2"),
    ],
)
def test_place(hosts: str, count: int, oversubscribe: bool, expected: str) -> None:
    assert format_hosts(place(parse_host_list(hosts), count, oversubscribe=oversubscribe)) == expected


def test_written_slots_are_a_limit() -> None:
    with pytest.raises(SMDDPArgumentError, match="-np 5 is more than the 4 slots of the host list a:2,b:2"):
        place(parse_host_list("a:2,b:2"), 5, oversubscribe=False)


@given(host_lists, st.integers(1, 5000))
def test_placed_slots_always_suffice_and_follow_the_proportions(hosts: list[Host], count: int) -> None:
    placed = place(hosts, count, oversubscribe=True)
    assert [host.name for host in placed] == [host.name for host in hosts]
    total = slot_total(hosts)
    assert slot_total(placed) == max(total, count)
    for before, after in zip(hosts, placed, strict=True):
        assert after.slots is not None
        assert after.slots >= (before.slots or 1)
        assert abs(after.slots - max(total, count) * (before.slots or 1) / total) < 1

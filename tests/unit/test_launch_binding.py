"""Sharing out a host's processors among its ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.launch import binding

#: Four cores of two threads each, on two nodes.
CORES = [frozenset({0, 4}), frozenset({1, 5}), frozenset({2, 6}), frozenset({3, 7})]
NODES = [frozenset({0, 1, 4, 5}), frozenset({2, 3, 6, 7})]


@pytest.mark.parametrize(
    ("groups", "local_size", "expected"),
    [
        (CORES, 1, [set(range(8))]),
        (CORES, 2, [{0, 4, 1, 5}, {2, 6, 3, 7}]),
        (CORES, 3, [{0, 4}, {1, 5}, {2, 6, 3, 7}]),
        (CORES, 8, [{0, 4}, {0, 4}, {1, 5}, {1, 5}, {2, 6}, {2, 6}, {3, 7}, {3, 7}]),
        (NODES, 2, [{0, 1, 4, 5}, {2, 3, 6, 7}]),
        (NODES, 4, [{0, 1, 4, 5}, {0, 1, 4, 5}, {2, 3, 6, 7}, {2, 3, 6, 7}]),
    ],
)
def test_shares(groups: list[frozenset[int]], local_size: int, expected: list[set[int]]) -> None:
    assert [binding.choose(groups, rank, local_size) for rank in range(local_size)] == expected


@given(st.integers(1, 40), st.integers(1, 40))
def test_all_are_used_and_none_is_left_out(count: int, local_size: int) -> None:
    groups = [frozenset({number}) for number in range(count)]
    shares = [binding.choose(groups, rank, local_size) for rank in range(local_size)]
    assert all(shares)
    assert frozenset().union(*shares) == frozenset(range(count))
    if local_size <= count:
        assert sum(map(len, shares)) == count
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_groups_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, cpus in enumerate(["0-1,4-5\n", "2-3,6-7\n", "\n"]):
        (tmp_path / f"node{number}").mkdir()
        (tmp_path / f"node{number}" / "cpulist").write_text(cpus, encoding="ascii")
    (tmp_path / "possible").write_text("0-2\n", encoding="ascii")
    monkeypatch.setattr(binding, "_NODES", str(tmp_path))
    assert binding.read_groups(str(tmp_path), frozenset(range(8))) == NODES
    assert binding.read_groups(str(tmp_path), frozenset({1, 6})) == [frozenset({1}), frozenset({6})]
    assert binding.read_groups(str(tmp_path), frozenset({1, 99})) == [frozenset({1, 99})]
    assert binding.read_groups(str(tmp_path / "absent"), frozenset({1})) == [frozenset({1})]

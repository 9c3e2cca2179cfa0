"""SMDDP_COSTS decides which algorithms are used, and ranks that hold different costs say so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from support.processes import Template
from support.world import Ended, World

CASES = "integration.costs.cases"
COUNT = 50_000
#: Does not suit three hosts, so rank 0 tells which algorithm is used instead.
WANTED = {"SMDDP_ALGORITHM": "all_reduce=halving"}
MESH = "[[transport.tcp.link]]\nns_per_byte = 1000"
ONE_STEP = "[transport.tcp]\nhop_us = 1e6"
HOST = socket.gethostname()


def run(
    template: Template, case: str, *arguments: str, hosts: tuple[int, ...] = (1, 1, 1), **how: object
) -> list[Ended]:
    with World(sum(hosts), f"{CASES}:{case}", *arguments, starter=template, hosts=hosts, **how) as world:
        return world.join()


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("costs", "transport", "used"),
    [
        (MESH, "auto", "mesh"),
        (ONE_STEP, "auto", "one_step"),
        (ONE_STEP, "tcp", "one_step"),
        # Those of another transport do not count.
        (f"{ONE_STEP.replace('tcp', 'ofi')}\n{MESH}", "auto", "mesh"),
    ],
)
def test_costs_decide(template: Template, tmp_path: Path, costs: str, transport: str, used: str) -> None:
    env = {**WANTED, "SMDDP_COSTS": written(tmp_path, "costs.toml", costs), "SMDDP_TRANSPORT": transport}
    ended = run(template, "add", str(COUNT), env=env)
    assert [rank.returncode for rank in ended] == [0] * 3, ended
    assert f"SMDDP_ALGORITHM: {used} is used instead of all_reduce=halving" in ended[0].stderr
    assert [rank.stderr for rank in ended[1:]] == ["", ""]


def test_the_same_costs_from_different_files(template: Template, tmp_path: Path) -> None:
    env = {"SMDDP_COSTS": written(tmp_path, "one.toml", ONE_STEP)}
    other = {"SMDDP_COSTS": written(tmp_path, "other.toml", f"# The same.\n{ONE_STEP}\nreduce_ns_per_byte = 0.1")}
    for rank in run(template, "add", str(COUNT), env=env, rank_env={1: other}):
        assert (rank.returncode, rank.stderr) == (0, "")


@pytest.mark.parametrize("hosts", [(3,), (1, 2)])
@pytest.mark.parametrize("case", ["add", "meet_as_torch"])
@pytest.mark.parametrize("other", ["another", "unset", "missing", "broken"])
def test_ranks_with_different_costs(
    template: Template, tmp_path: Path, hosts: tuple[int, ...], case: str, other: str
) -> None:
    path = {
        "another": written(tmp_path, "another.toml", MESH),
        "unset": "",
        "missing": str(tmp_path / "nosuch.toml"),
        "broken": written(tmp_path, "broken.toml", "[transport.tcp]\nhop = 3"),
    }[other]
    mark = {
        "another": "",
        "unset": "(none) ",
        "missing": f"(cannot read {path}: No such file or directory) ",
        "broken": f"({path}: transport.tcp: unknown key 'hop'; did you mean hop_us?) ",
    }[other]
    env = {"SMDDP_COSTS": written(tmp_path, "costs.toml", ONE_STEP)}
    arguments = (str(COUNT),) if case == "add" else ()
    ended = run(template, case, *arguments, hosts=hosts, env=env, rank_env={1: {"SMDDP_COSTS": path}})
    for rank in ended:
        assert rank.returncode == 1
        text = rank.last_line
        assert f"rank 1 ({HOST}, pid " in text, rank.stderr
        assert f" has SMDDP_COSTS={mark}" in text
        assert f"and rank 0 ({HOST}, pid " in text
        assert text.count("SMDDP_COSTS=") == 2
        assert text.endswith("; set these to the same values for all ranks")


@pytest.mark.parametrize("hosts", [(2,), (1, 1)])
def test_all_ranks_lack_the_file(template: Template, tmp_path: Path, hosts: tuple[int, ...]) -> None:
    path = tmp_path / "nosuch.toml"
    for rank in run(template, "add", str(COUNT), hosts=hosts, env={"SMDDP_COSTS": str(path)}):
        assert rank.returncode == 1
        assert rank.last_line.endswith(f"SMDDP_COSTS: cannot read {path}: No such file or directory"), rank.stderr

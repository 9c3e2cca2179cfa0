"""All ranks of a job hold one topology; those that are told different ones say so."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from smddp.tools.doctor.collect.interfaces import engine_order, read_interfaces
from smddp.topology import Topology, dumps, instance
from smddp.topology.native import discover_host, topology_hash

from support.processes import Template
from support.world import Ended, World

CASES = "integration.topology.cases"


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Forks ranks that have NumPy and smddp imported already."""
    template = Template(CASES)
    yield template
    template.close()


def run(
    template: Template,
    size: int,
    *,
    hosts: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    rank_env: Mapping[int, Mapping[str, str]] | None = None,
) -> list[Ended]:
    world = World(size, f"{CASES}:tell", starter=template, hosts=hosts, env=env, rank_env=rank_env)
    with world:
        return world.join()


def told(ended: list[Ended]) -> str:
    """What all ranks printed, which is the same."""
    for rank in ended:
        assert (rank.returncode, rank.stderr) == (0, ""), f"rank {rank.rank}"
    (line,) = {rank.stdout.strip() for rank in ended}
    return line


@pytest.mark.parametrize(
    ("hosts", "env", "placement"),
    [
        ((), {}, "0,0,0"),
        ((2, 1), {}, "0,0,1"),
        ((), {"SMDDP_TRANSPORT": "tcp"}, "0,1,2"),
        ((1, 2), {"SMDDP_SOCKET_IFNAME": "=lo"}, "0,1,1"),
    ],
)
def test_all_ranks_find_the_same(
    template: Template, hosts: tuple[int, ...], env: dict[str, str], placement: str
) -> None:
    digest, places, *rails = told(run(template, 3, hosts=hosts, env=env)).split()
    assert (len(digest), places) == (64, placement)
    assert len(set(rails)) == 1
    assert len(rails) == len(set(places.split(",")))
    if "SMDDP_SOCKET_IFNAME" in env:  # loopback is used, and is no rail
        assert set(rails) == {"none"}


@pytest.mark.parametrize("odd", [0, 2])
def test_hosts_may_differ(template: Template, odd: int) -> None:
    named = [one for one in engine_order(read_interfaces()) if not one.is_loopback]
    if not named:
        pytest.skip("there is no interface but loopback")
    env = {"SMDDP_SOCKET_IFNAME": f"={named[0].name}"}
    ended = run(template, 4, hosts=(2, 2), env=env, rank_env={odd: {"SMDDP_SOCKET_IFNAME": "=lo"}})
    rails = told(ended).split()[2:]
    assert rails == ["none" if host == odd // 2 else named[0].name for host in range(2)]


def test_one_rank_alone(template: Template) -> None:
    digest = told(run(template, 1)).split()[0]
    if not Path("/sys/class/infiniband").is_dir():  # of which a job over tcp makes no use
        assert digest == topology_hash(Topology.uniform(discover_host(), hosts=1))


@pytest.mark.parametrize("hosts", [(), (2, 2), (1, 3)])
def test_all_ranks_are_told_the_same(template: Template, hosts: tuple[int, ...], tmp_path: Path) -> None:
    by_type = told(run(template, 4, hosts=hosts, env={"SMDDP_TOPOLOGY": "p4d.24xlarge"}))
    counts = hosts or (4,)
    placement = tuple(host for host, count in enumerate(counts) for _ in range(count))
    expected = Topology(hosts=(instance("p4d.24xlarge"),) * len(counts), host_of_rank=placement)
    assert by_type.split()[0] == topology_hash(expected)
    # The same by another way, for one of the ranks.
    path = tmp_path / "p4d.toml"
    path.write_text(dumps(Topology.uniform(instance("p4d.24xlarge"), hosts=1)), encoding="utf-8")
    rank_env = {2: {"SMDDP_TOPOLOGY": str(path)}}
    ended = run(template, 4, hosts=hosts, env={"SMDDP_TOPOLOGY": "p4d.24xlarge"}, rank_env=rank_env)
    assert told(ended) == by_type


@pytest.mark.parametrize("hosts", [(), (1, 2)])
@pytest.mark.parametrize("other", ["p5.48xlarge", ""])
def test_ranks_that_are_told_different_ones(template: Template, hosts: tuple[int, ...], other: str) -> None:
    env = {"SMDDP_TOPOLOGY": "p4d.24xlarge"}
    ended = run(template, 3, hosts=hosts, env=env, rank_env={1: {"SMDDP_TOPOLOGY": other}})
    host = socket.gethostname()
    for rank in ended:
        assert rank.returncode == 1
        start = f"SMDDPConfigError: rank {rank.rank} ({host}): rank 1 ({host}, pid "
        assert rank.last_line.startswith(start), rank.stderr
        marks = [word.rstrip(";") for word in rank.last_line.split() if word.startswith("SMDDP_TOPOLOGY=")]
        assert len(set(marks)) == 2, rank.last_line
        assert ("SMDDP_TOPOLOGY=(none)" in marks) == (not other)
        assert f" and rank 0 ({host}, pid " in rank.last_line
        assert rank.last_line.endswith("; set these to the same values for all ranks")
    assert len({rank.last_line.partition("): ")[2] for rank in ended}) == 1


@pytest.mark.parametrize("hosts", [(), (1, 2)])
def test_ranks_with_other_partial_sums(template: Template, hosts: tuple[int, ...]) -> None:
    for rank in run(template, 3, hosts=hosts, rank_env={1: {"SMDDP_PARTIALS": "fp32"}}):
        assert rank.returncode == 1
        assert "SMDDP_PARTIALS=fp32" in rank.last_line
        assert "SMDDP_PARTIALS=native" in rank.last_line
        assert rank.last_line.endswith("; set these to the same values for all ranks")


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"SMDDP_TOPOLOGY": "p4d"}, "SMDDP_TOPOLOGY: p4d is neither a file nor an instance type of the catalogue"),
        (
            {"SMDDP_SOCKET_IFNAME": "nosuch"},
            "SMDDP_SOCKET_IFNAME=nosuch leaves no network interface that is up and has",
        ),
        (
            {"SMDDP_TCP_CONGESTION": "pigeons", "SMDDP_TRANSPORT": "tcp"},
            "SMDDP_TCP_CONGESTION=pigeons: this process cannot have it; the system has ",
        ),
        (
            {"SMDDP_ALGORITHM": "barrier=dissemination,reduce=ring"},
            "SMDDP_ALGORITHM: 'reduce=ring' names no algorithm; choose one of: mesh, tree, scatter_gather",
        ),
    ],
)
def test_what_does_not_exist_is_said_at_once_by_every_rank(
    template: Template, env: dict[str, str], sentence: str
) -> None:
    for rank in run(template, 2, env=env):
        assert rank.returncode == 1
        assert rank.last_line.startswith("SMDDPConfigError: "), rank.stderr
        assert sentence in rank.last_line


@pytest.mark.parametrize(
    ("hosts", "algorithm", "dtype", "order", "warning"),
    [
        ((1, 1, 1), "ring", "float32", "canonical", "order of sums: not the canonical one; SMDDP_ORDER=any allows it"),
        ((1, 1, 1), "ring", "float32", "any", ""),
        ((1, 1, 1), "ring", "int32", "canonical", ""),
        ((1, 1, 1), "halving", "int32", "canonical", "needs a power of two of hosts"),
        ((), "halving", "int32", "canonical", ""),
    ],
)
def test_an_algorithm_that_is_not_used_is_named_once(
    template: Template, hosts: tuple[int, ...], algorithm: str, dtype: str, order: str, warning: str
) -> None:
    env = {"SMDDP_ALGORITHM": f"all_reduce={algorithm}", "SMDDP_ORDER": order}
    with World(3, f"{CASES}:add", dtype, "5", starter=template, hosts=hosts, env=env) as world:
        ended = world.join()
    assert [rank.returncode for rank in ended] == [0, 0, 0]
    assert [rank.stderr.count("\n") for rank in ended] == [int(bool(warning)), 0, 0]
    if warning:
        assert f"is used instead of all_reduce={algorithm} ({warning}" in ended[0].stderr


def test_ranks_meet_on_the_named_interface(template: Template) -> None:
    named = [one for one in engine_order(read_interfaces()) if not one.is_loopback]
    if not named:
        pytest.skip("there is no interface but loopback")

    def peers(spec: str) -> list[str]:
        env = {"SMDDP_SOCKET_IFNAME": spec, "SMDDP_TRANSPORT": "tcp"}
        with World(2, f"{CASES}:tell_peers", starter=template, env=env) as world:
            ended = world.join()
        assert [(rank.returncode, rank.stderr) for rank in ended] == [(0, "")] * 2
        return ended[1].stdout.split()  # which called rank 0

    assert named[0].address in peers(f"={named[0].name}")
    assert peers("=lo") == peers("") == ["127.0.0.1"]


def test_subgroups_have_their_own(torch_template: Template) -> None:
    env = {"SMDDP_TOPOLOGY": "p4d.24xlarge"}
    with World(4, f"{CASES}:subgroup", "20", starter=torch_template, hosts=(2, 2), env=env) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stderr) == (0, "")
            assert rank.stdout.split() == [str(4.0 if rank.rank % 2 else float(rank.rank))] * 3


@pytest.fixture(scope="module")
def torch_template() -> Iterator[Template]:
    """Forks ranks that have torch imported, too."""
    template = Template("torch", "smddp.torch", CASES)
    yield template
    template.close()

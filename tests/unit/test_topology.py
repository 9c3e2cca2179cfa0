"""Topologies as values, as files, and the catalogue of instance types."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.topology import (
    Gpu,
    HostTopology,
    NumaNode,
    Rail,
    Topology,
    catalogue,
    dumps,
    instance,
    load,
    load_host,
    resolve_host,
)
from smddp.topology.files import format_cpus, loads
from smddp.topology.native import encode_host, from_native, to_native, topology_hash

NUMBERS = st.floats(0, 1e9, allow_nan=False)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@st.composite
def hosts(draw: st.DrawFn) -> HostTopology:
    nodes = draw(st.integers(0, 3))
    owner = draw(st.lists(st.integers(0, max(nodes - 1, 0)), max_size=12)) if nodes else []
    numa = st.integers(-1, nodes - 1)
    rails = [Rail(name=name, gbps=draw(NUMBERS), numa=draw(numa)) for name in draw(st.lists(NAMES, unique=True))]
    near = st.lists(st.integers(0, len(rails) - 1), unique=True) if rails else st.just([])
    gpus = [Gpu(numa=draw(numa), rails=tuple(sorted(draw(near)))) for _ in range(draw(st.integers(0, 3)))]
    return HostTopology(
        instance_type=draw(NAMES | st.just("")),
        threads_per_core=draw(st.integers(1, 4)),
        cpu_limit=draw(NUMBERS),
        memory_gbytes_per_s=draw(NUMBERS),
        numa_nodes=tuple(
            NumaNode(cpus=tuple(cpu for cpu, place in enumerate(owner) if place == node)) for node in range(nodes)
        ),
        rails=tuple(rails),
        gpus=tuple(gpus),
    )


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    kinds = draw(st.lists(hosts(), min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    later = draw(st.lists(st.integers(0, len(chosen) - 1), max_size=6))
    # Each host appears first in the order of its number.
    return Topology(hosts=tuple(chosen), host_of_rank=(*range(len(chosen)), *later))


P4D = instance("p4d.24xlarge")


@given(topologies())
def test_a_topology_survives_the_file(topology: Topology) -> None:
    assert loads(dumps(topology), source="it") == topology


@given(topologies())
def test_a_topology_survives_the_engine(topology: Topology) -> None:
    assert from_native(to_native(topology)) == topology


@given(topologies(), topologies())
def test_hashes_are_equal_for_equal_topologies_only(one: Topology, other: Topology) -> None:
    assert (topology_hash(one) == topology_hash(other)) == (one == other)
    assert topology_hash(one) == topology_hash(dataclasses.replace(one))


def test_the_hash_of_an_example_stays() -> None:
    # Tools and jobs of different versions compare it: who changes the bytes changes the number in native/.../encode.cc.
    host = HostTopology(
        instance_type="x1",
        threads_per_core=2,
        cpu_limit=1.5,
        numa_nodes=(NumaNode(cpus=(0, 1)),),
        rails=(Rail(name="eth0", gbps=10.0, numa=0),),
        gpus=(Gpu(rails=(0,)),),
    )
    digest = "76e098e598acebb1eab8ffb1d426e8cecb23ad053684838352268802aff05c85"
    assert topology_hash(Topology.uniform(host, hosts=2, ranks_per_host=2)) == digest


@pytest.mark.parametrize("name", catalogue())
def test_catalogue_entries_are_sane(name: str) -> None:
    host = catalogue()[name]
    assert host.instance_type == name
    assert host.cpus % (len(host.numa_nodes) * host.threads_per_core) == 0
    assert sorted(cpu for node in host.numa_nodes for cpu in node.cpus) == list(range(host.cpus))
    assert len({len(node.cpus) for node in host.numa_nodes}) == 1
    assert 25 <= host.gbps <= 6400
    assert len({rail.gbps for rail in host.rails}) == 1
    assert {rail.numa for rail in host.rails} <= set(range(len(host.numa_nodes)))
    for gpu in host.gpus:
        assert len(gpu.rails) == max(1, len(host.rails) // len(host.gpus))
    if host.gpus:  # every rail is somebody's nearest, and all rails serve equally many
        assert len({len(host.gpus_near(rail)) for rail in range(len(host.rails))}) == 1


@pytest.mark.parametrize(
    ("name", "gbps", "rails", "gpus", "cores"),
    [
        ("p3dn.24xlarge", 100, 1, 8, 48),
        ("p4d.24xlarge", 400, 4, 8, 48),
        ("p5.48xlarge", 3200, 32, 8, 96),
        ("p5en.48xlarge", 3200, 16, 8, 96),
        ("p6-b200.48xlarge", 3200, 8, 8, 96),
        ("trn1.32xlarge", 800, 8, 16, 64),
        ("trn1n.32xlarge", 1600, 16, 16, 64),
        ("c7gn.16xlarge", 200, 1, 0, 64),
    ],
)
def test_catalogue_has_the_published_numbers(name: str, gbps: float, rails: int, gpus: int, cores: int) -> None:
    host = instance(name)
    assert (host.gbps, len(host.rails), len(host.gpus), host.cores) == (gbps, rails, gpus, cores)


def test_p4d_as_linux_shows_it() -> None:
    assert [format_cpus(node.cpus) for node in P4D.numa_nodes] == ["0-23,48-71", "24-47,72-95"]
    assert [gpu.rails for gpu in P4D.gpus] == [(0,), (0,), (1,), (1,), (2,), (2,), (3,), (3,)]
    assert [gpu.numa for gpu in P4D.gpus] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [rail.numa for rail in P4D.rails] == [0, 0, 1, 1]
    assert P4D.gpus_near(1) == (2, 3)


def test_unknown_instance_type_names_the_nearest() -> None:
    with pytest.raises(SMDDPArgumentError, match=r"p4d\.24xlrge is no .* did you mean p4d\.24xlarge\?"):
        instance("p4d.24xlrge")


def test_uniform_jobs() -> None:
    job = Topology.uniform(P4D, hosts=3, ranks_per_host=2)
    assert job.host_of_rank == (0, 0, 1, 1, 2, 2)
    assert job.ranks_on(1) == (2, 3)
    with pytest.raises(SMDDPArgumentError, match="at least one host"):
        Topology.uniform(P4D, hosts=0)


def test_equal_hosts_become_one_entry() -> None:
    text = dumps(Topology.uniform(P4D, hosts=64))
    assert text.count("[[host]]") == 1
    assert "count = 64" in text
    assert 'cpus = "0-23,48-71"' in text


GOOD = """
[[host]]
threads_per_core = 2

[[host.numa]]
cpus = "0-3"

[[host.rail]]
name = "eth0"
gbps = 10

[[host.gpu]]
rails = [0]
"""


def test_a_file_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "topology.toml"
    path.write_text(GOOD, encoding="utf-8")
    host = load_host(path)
    assert (host.cpus, host.cores, host.gbps, host.gpus_near(0)) == (4, 2, 10.0, (0,))
    assert resolve_host(str(path)) == host
    assert encode_host(host) != encode_host(P4D)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("gbps = 10", "gbsp = 10", "host 0, rail 0: unknown key 'gbsp'; did you mean gbps?"),
        ("gbps = 10", "", "host 0, rail 0: gbps is missing; it must be a number"),
        ("gbps = 10", 'gbps = "10"', "host 0, rail 0: gbps must be a number, not '10'"),
        ("gbps = 10", "gbps = true", "host 0, rail 0: gbps must be a number, not True"),
        ("gbps = 10", "gbps = -1", "host 0: rail 0: gbps: must be a number from 0 on, not -1.0"),
        ("gbps = 10", "gbps = inf", "host 0: rail 0: gbps: must be a number from 0 on, not inf"),
        ("gbps = 10", "gbps = nan", "host 0: rail 0: gbps: must be a number from 0 on, not nan"),
        ("gbps = 10", "gbps = 10\nnuma = 1", "host 0: rail 0: there is no NUMA node 1 (nodes: 1, numbered from 0"),
        ("gbps = 10", "gbps = 10\nnuma = 0.5", "host 0, rail 0: numa must be a whole number, not 0.5"),
        ('name = "eth0"', 'name = ""', "host 0: rail 0: name: must be printable text"),
        ("rails = [0]", "rails = [1]", "host 0: gpu 0: there is no rail 1 (rails: 1, numbered from 0)"),
        ("rails = [0]", "rails = [0, 0]", "host 0: gpu 0: rails: must ascend, got [0, 0]"),
        ("rails = [0]", "rails = 0", "host 0, gpu 0: rails must be a list of whole numbers, not 0"),
        ('"0-3"', '"0-x"', "host 0, numa 0: cpus must be processors such as \"0-3,8-11\", not '0-x'"),
        ('"0-3"', '"3,1"', "host 0: numa 0: cpus: must ascend from 0, got [3, 1]"),
        ('"0-3"', '"0-999999"', "host 0, numa 0: cpus must be processors"),
        ('cpus = "0-3"', "", "host 0, numa 0: cpus is missing"),
        ('"0-3"\n', '"0-3"\n[[host.numa]]\ncpus = "3"\n', "numa 1: cpus: processor 3 belongs to NUMA node 0 already"),
        ("threads_per_core = 2", "threads_per_core = 0", "host 0: threads_per_core: must be at least 1, not 0"),
        ("threads_per_core = 2", "threads = 2", "host 0: unknown key 'threads'; did you mean threads_per_core?"),
        ("threads_per_core = 2", "count = 0", "host 0: count must be from 1 to 65536, not 0"),
        ("[[host]]", "[[hots]]\n[[host]]", "at the top: unknown key 'hots'; did you mean host?"),
        ("[[host]]", "host_of_rank = [1]\n[[host]]", "host_of_rank: each of the 1 hosts needs a rank"),
        ("[[host]]", "what is this", "Expected '=' after a key"),
    ],
)
def test_a_mistake_is_one_clear_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "topology.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SMDDPConfigError) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SMDDPConfigError, match=r"cannot read .*nothing\.toml: No such file"):
        load(tmp_path / "nothing.toml")
    (tmp_path / "empty.toml").write_text("", encoding="utf-8")
    with pytest.raises(SMDDPConfigError, match=r"there is no \[\[host\]\]"):
        load(tmp_path / "empty.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SMDDPConfigError, match="not text in UTF-8"):
        load(tmp_path / "binary.toml")


def test_a_file_for_a_job_describes_one_host(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(dumps(Topology(hosts=(P4D, instance("p5.48xlarge")), host_of_rank=(0, 1))), encoding="utf-8")
    with pytest.raises(SMDDPConfigError, match=r"two\.toml: describes 2 different hosts"):
        resolve_host(str(path))


def test_neither_file_nor_instance_type() -> None:
    with pytest.raises(SMDDPConfigError, match=r"p5en\.48 is neither a file nor .* did you mean p5en\.48xlarge\?"):
        resolve_host("p5en.48")

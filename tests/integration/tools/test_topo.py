"""The ``smddp topo`` command, as users run it."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path

import pytest

from smddp.topology import Topology, dumps, instance, load

from support.jobs import BIN, Job, run_job

pytestmark = pytest.mark.timeout(120)


def topo(*words: str | Path, **env: str) -> Job:
    return run_job([BIN / "smddp", "topo", *words], timeout=60, env=env)


def refusal(*words: str | Path, **env: str) -> str:
    job = topo(*words, **env)
    assert (job.returncode, job.stdout) == (2, "")
    assert job.stderr.startswith("smddp: ")
    assert job.stderr.count("\n") == 1
    return job.stderr


def test_an_instance_type() -> None:
    job = topo("--instance", "p4d.24xlarge", "--hosts", "64", "--ranks-per-host", "8").check()
    lines = job.stdout.splitlines()
    assert lines[0].startswith("64 hosts, 512 ranks, topology ")
    assert lines[1:] == [
        "hosts 0-63: ranks 0-511",
        "  instance type p4d.24xlarge",
        "  48 cores with 2 threads each",
        "  NUMA node 0: processors 0-23,48-71",
        "  NUMA node 1: processors 24-47,72-95",
        "  rail efa0: 100 Gbit/s, NUMA node 0, nearest to GPUs 0-1",
        "  rail efa1: 100 Gbit/s, NUMA node 0, nearest to GPUs 2-3",
        "  rail efa2: 100 Gbit/s, NUMA node 1, nearest to GPUs 4-5",
        "  rail efa3: 100 Gbit/s, NUMA node 1, nearest to GPUs 6-7",
        *(f"  GPU {gpu}: NUMA node {gpu // 4}, nearest rail efa{gpu // 2}" for gpu in range(8)),
    ]
    assert job.stderr == ""


def test_this_machine_and_a_file_of_it(tmp_path: Path) -> None:
    shown = topo().check().stdout.splitlines()
    assert shown[0].startswith("1 host, 1 rank, topology ")
    path = tmp_path / "here.toml"
    path.write_text(topo("--toml").check().stdout, encoding="utf-8")
    assert topo("--file", path).check().stdout.splitlines() == shown
    assert topo(SMDDP_TOPOLOGY=str(path)).check().stdout.splitlines() == shown
    assert load(path).host_of_rank == (0,)


def test_json() -> None:
    told = json.loads(topo("--instance", "p5.48xlarge", "--hosts", "2", "--json").check().stdout)
    assert (len(told["hash"]), told["host_of_rank"]) == (64, [0, 1])
    assert told["hosts"][1]["rails"][31] == {"name": "efa31", "gbps": 100.0, "numa": 1}


def test_the_catalogue() -> None:
    lines = topo("--list").check().stdout.splitlines()
    (p5en,) = (line for line in lines if line.startswith("p5en.48xlarge"))
    assert p5en.split(maxsplit=1)[1] == "96 cores, 2 NUMA nodes, 16 rails of 200 Gbit/s, 8 GPUs"


@pytest.mark.parametrize("name", ["p4d.24xlarge", "p5.48xlarge", "c5n.18xlarge"])
def test_svg(tmp_path: Path, name: str) -> None:
    picture = tmp_path / "topology.svg"
    topo("--instance", name, "--hosts", "4", "--svg", picture).check()
    assert xml.etree.ElementTree.parse(picture).getroot().tag.endswith("svg")


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_job_shows_the_whole(ranks: int) -> None:
    env = {"SMDDP_TOPOLOGY": "g5.48xlarge"}
    job = run_job([BIN / "smddprun", "-np", str(ranks), BIN / "smddp", "topo"], timeout=60, env=env).check()
    lines = [line for line in job.stdout.splitlines() if "topology" in line or "ranks 0-" in line]
    assert len(lines) == (2 if ranks > 1 else 1)
    assert f"1 host, {ranks} rank" in lines[0]


def test_a_job_has_hosts_of_its_own() -> None:
    words = [BIN / "smddprun", "-np", "2", BIN / "smddp", "topo", "--hosts", "3"]
    job = run_job(words, timeout=60)
    assert job.returncode != 0
    assert "a job has its own; leave them out" in job.stderr + job.stdout


def test_wrong_words(tmp_path: Path) -> None:
    assert "did you mean p4d.24xlarge?" in refusal("--instance", "p4d.24xl")
    assert "No such file" in refusal("--file", tmp_path / "nothing.toml")
    assert "at least one host" in refusal("--instance", "p4d.24xlarge", "--hosts", "0")
    assert "there is no folder" in refusal("--svg", tmp_path / "nowhere" / "x.svg")
    assert "leaves no network interface" in refusal(SMDDP_SOCKET_IFNAME="nosuch")


def test_file_with_several_hosts(tmp_path: Path) -> None:
    job = Topology(hosts=(instance("p4d.24xlarge"), instance("c5n.18xlarge")), host_of_rank=(0, 1, 0))
    path = tmp_path / "job.toml"
    path.write_text(dumps(job), encoding="utf-8")
    lines = topo("--file", path).check().stdout.splitlines()
    assert [line for line in lines if line.startswith("host ")] == ["host 0: ranks 0,2", "host 1: rank 1"]
    assert "2 different hosts" in refusal("--file", path, "--hosts", "3")

"""Buckets of gradients grow with the hosts and their rails, on all ranks alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from smddp.topology import HostTopology, Rail, Topology, dumps

from support.processes import Template
from support.world import World

CASES = "integration.topology.cases"


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Forks ranks that have torch and smddp imported already."""
    template = Template("torch", "smddp.torch", CASES)
    yield template
    template.close()


@pytest.fixture
def many_rails(tmp_path: Path) -> str:
    """A host that sends over 200 rails: two of them fill 2 x 200 stripes of 128 KiB."""
    rails = tuple(Rail(name=f"rail{number}", gbps=1.0) for number in range(200))
    path = tmp_path / "rails.toml"
    path.write_text(dumps(Topology.uniform(HostTopology(rails=rails), hosts=1)), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("hosts", "mib"), [((), "25.0"), ((1, 1), "50.0")])
@pytest.mark.parametrize("case", ["bucket_of_numpy", "bucket_of_torch"])
def test_size(template: Template, many_rails: str, case: str, hosts: Sequence[int], mib: str) -> None:
    env = {"SMDDP_TOPOLOGY": many_rails}
    with World(2, f"{CASES}:{case}", starter=template, hosts=hosts, env=env) as world:
        for rank in world.join():
            assert (rank.returncode, rank.stdout.strip(), rank.stderr) == (0, mib, ""), world.report()

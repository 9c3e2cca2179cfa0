"""``smddp tune`` between two hosts, and a job with the costs that it found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from smddp.costs import load

from support.jobs import BIN, run_job
from support.netlab.lab import Lab, netlab
from support.netlab.spec import LabSpec
from support.processes import Template
from support.world import Ended, World

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("hosts_possible")]

CASES = "integration.costs.cases"
#: Seconds of a byte at 1 Gbit/s; of each frame of 1514 bytes 1448 are the stream's.
BYTE = 8e-9 * 1514 / 1448


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Forks ranks that have NumPy and smddp imported already."""
    template = Template(CASES)
    yield template
    template.close()


def run(lab: Lab, template: Template, case: str, *arguments: str, **env: str) -> list[Ended]:
    starter = lab.forking(template)
    with World(2, f"{CASES}:{case}", *arguments, starter=starter, hosts=(1, 1), env=env, seconds=120) as world:
        ended = world.join()
    for rank in ended:
        assert (rank.returncode, rank.stderr) == (0, ""), f"rank {rank.rank}"
    return ended


def test_costs_of_two_hosts_serve_a_job(template: Template, tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    with netlab(LabSpec(hosts=2, rails=(10**9,))) as lab:
        words = ("--output", str(path), "--rounds", "3", "--seconds", "20")
        ended = run(lab, template, "command", "tune", *words)
        print(ended[0].stdout)
        run(lab, template, "add", "50000", SMDDP_COSTS=str(path))
    costs = load(path)["tcp"]
    # The kernel says 10 Gbit/s of virtual cards. The line's bucket lets 128 KiB pass before it limits, so that 64 KiB
    # take less than on a line, and the fit with them; longer than the line takes, where the processors are busy.
    assert 0.85 * BYTE < costs.link[-1].seconds_per_byte < 2 * BYTE
    assert costs.hop is not None
    assert 1e-6 < costs.hop < 5e-3
    told = run_job([BIN / "smddp", "plan", "--bytes", "16MiB", "--costs", path, "--json"], timeout=60).check().stdout
    mesh = next(each for each in json.loads(told)["algorithms"] if each["algorithm"] == "mesh")
    assert mesh["predicted_s"] == pytest.approx((16 << 20) * BYTE, rel=0.6)

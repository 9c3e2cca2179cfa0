"""``smddp tune`` over real ranks; several hosts are several names of this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from smddp.costs import load
from smddp.costs.values import ANY_SIZE

from support.processes import Template
from support.world import Ended, World

CASES = "integration.costs.cases"
COUNT = 50_000

pytestmark = pytest.mark.timeout(150)


def run(
    template: Template, case: str, *arguments: str, hosts: tuple[int, ...], env: dict[str, str] | None = None
) -> list[Ended]:
    starting = World(sum(hosts), f"{CASES}:{case}", *arguments, starter=template, hosts=hosts, env=env, seconds=120)
    with starting as world:
        return world.join()


def test_tune_writes_what_jobs_read(template: Template, tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    words = ("tune", "--output", str(path), "--rounds", "2", "--seconds", "3")
    ended = run(template, "command", *words, hosts=(1, 2))
    for rank in ended:
        assert (rank.returncode, rank.stderr) == (0, ""), rank
    assert [rank.stdout for rank in ended[1:]] == ["", ""]
    told = ended[0].stdout
    assert "measured: 2 hosts x 1 to 2 ranks, transport tcp, rails " in told
    assert "error with the fitted costs: median " in told
    assert told.splitlines()[-1].endswith(f"SMDDP_COSTS={path} on every rank")
    costs = load(path)["tcp"]
    assert costs.hop is not None
    assert [rate.nbytes for rate in costs.link][-1:] in ([], [ANY_SIZE])
    for rank in run(template, "add", str(COUNT), hosts=(1, 2), env={"SMDDP_COSTS": str(path)}):
        assert (rank.returncode, rank.stderr) == (0, "")
    # It is there now.
    again = run(template, "command", *words, hosts=(1, 2))
    assert [rank.returncode for rank in again] == [2] * 3
    sentence = f"smddp: --output {path}: it is there already; --force writes it anew\n"
    assert [rank.stderr for rank in again] == [sentence, "", ""]
    forced = run(template, "command", *words, "--force", hosts=(1, 2))
    assert [rank.returncode for rank in forced] == [0] * 3


@pytest.mark.parametrize("hosts", [(1,), (3,)])
def test_one_host_has_nothing_to_tune(template: Template, tmp_path: Path, hosts: tuple[int, ...]) -> None:
    ended = run(template, "command", "tune", "--output", str(tmp_path / "costs.toml"), hosts=hosts)
    assert [rank.returncode for rank in ended] == [2] * sum(hosts)
    assert ended[0].stderr.startswith("smddp: there is nothing between hosts to tune, as all ranks are on one host; ")
    assert ended[0].stderr.count("\n") == 1
    assert [rank.stdout + rank.stderr for rank in ended[1:]] == [""] * (sum(hosts) - 1)
    assert list(tmp_path.iterdir()) == []

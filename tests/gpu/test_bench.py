"""``smddp bench --device cuda`` as users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.jobs import BIN, run_job

pytestmark = pytest.mark.timeout(360)

SHORT = ("all", "-b", "8", "-e", "32M", "-f", "64", "-n", "4", "-w", "1")


@pytest.mark.parametrize("share", [False, True], ids=["own", "shared"])
def test_every_collective(share: bool, torch_with_cuda: int, tmp_path: Path) -> None:
    """Beside NCCL where each rank has a GPU of its own."""
    ranks = 2 * torch_with_cuda if share else torch_with_cuda
    words = [*SHORT, "--ranks", str(ranks), "--compare", "nccl", "--json", tmp_path / "b.json"]
    job = run_job([BIN / "smddp", "bench", "--device", "cuda", *words], timeout=300).check()
    data = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert {row["wrong"] for row in data["rows"]} == {0}
    assert {row["library"] for row in data["rows"]} == ({"smddp"} if share else {"smddp", "nccl"})
    assert ("--compare nccl is left out: NCCL needs a GPU for each rank" in job.stdout) is share
    assert data["limits"]["copy_rate"] > 0

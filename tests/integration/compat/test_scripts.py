"""Scripts as users of the older module wrote them, run unmodified."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from integration.compat.jobs import SECONDS

from support.jobs import BIN, Job, run_job

SCRIPTS = Path(__file__).with_name("scripts")
SMDDPRUN = (BIN / "smddprun", "-np", "2")
pytestmark = [
    pytest.mark.timeout(SECONDS + 30),
    pytest.mark.skipif(not (BIN / "mpirun").exists(), reason="no mpirun in this environment"),
]


def run_script(name: str, *options: str | Path, launcher: tuple[str | Path, ...] = SMDDPRUN) -> Job:
    return run_job([*launcher, sys.executable, SCRIPTS / name, *options], timeout=SECONDS).check()


@pytest.mark.slow
def test_mnist(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    job = run_script("mnist_v1.py", "--model-dir", tmp_path)
    assert re.search(r"^Trained on 2 ranks in ", job.stdout, re.MULTILINE), job.stdout
    right = re.findall(r"^Test set: Accuracy: (\d+)/357$", job.stdout, re.MULTILINE)
    assert len(right) == 4, job.stdout
    assert int(right[-1]) > 0.85 * 357
    first, second = (torch.load(tmp_path / f"digits-{rank}.pt") for rank in range(2))
    assert {name.partition(".")[0] for name in first} == {"module"}
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_init_process_group_called_again_and_again() -> None:
    job = run_script("init_twice.py")
    shared = "[1.5] 0.5 [10, 20] [1.5, 3.0] 0"
    assert sorted(job.stdout.splitlines()) == [f"rank 0 {shared}", f"rank 1 {shared}"]
    assert job.stderr.count("specify 'smddp' as a backend") == 1, job.stderr


@pytest.mark.parametrize("options", [(), ("--fp32", "--size", "2")], ids=["fp16", "fp32"])
def test_throughput(options: tuple[str, ...]) -> None:
    job = run_script("throughput_v1.py", *options)
    assert re.fullmatch(rf"2 ranks, {'fp32' if options else 'fp16'}: [0-9.]+ GB/s", job.last_line), job.stdout


@pytest.mark.slow
def test_library_is_left_aside_in_a_local_run() -> None:
    assert run_script("local_or_launched.py", launcher=()).stdout == "a local run\n"
    launched = run_script("local_or_launched.py")
    assert sorted(launched.stdout.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]

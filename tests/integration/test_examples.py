"""Every example runs, the first under every launcher, and says what it did in its last line."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from support.jobs import BIN, REPOSITORY, Job, run_job

EXAMPLES = REPOSITORY / "examples"
DIGITS = ("02_torch_ddp_digits.py", "03_older_module_digits.py")
TENSORFLOW_DIGITS = ("04_tensorflow_tape_digits.py", "05_keras_fit_digits.py")
LAST_LINE = re.compile(r"test accuracy (0\.\d{4}|1\.0000), (\d+) ranks?, ([a-z+]+), (\d+) s")
RANKS = 4

OPEN_MPI_FLAGS = ("--oversubscribe", *(("--allow-run-as-root",) if os.geteuid() == 0 else ()))
#: Name -> command in front of `python script`. Programs without a directory come from the system.
LAUNCHERS: dict[str, tuple[str, ...]] = {
    "alone": (),
    "smddprun": (f"{BIN}/smddprun", "-np", str(RANKS)),
    "mpirun": (f"{BIN}/mpirun", *OPEN_MPI_FLAGS, "-n", str(RANKS)),
    "mpirun smddprun": (f"{BIN}/mpirun", *OPEN_MPI_FLAGS, "-n", str(RANKS), f"{BIN}/smddprun"),
    "torchrun": (f"{BIN}/torchrun", "--no-python", "--nproc-per-node", str(RANKS)),
    "Open MPI of the system": ("mpirun.openmpi", *OPEN_MPI_FLAGS, "-n", str(RANKS)),
    "MPICH of the system": ("mpirun.mpich", "-n", str(RANKS)),
}
SYSTEM_LAUNCHERS = ("Open MPI of the system", "MPICH of the system")


def run_example(launcher: str, script: str, *options: str | Path, timeout: float = 100) -> Job:
    command = LAUNCHERS[launcher]
    if command and shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return run_job([*command, sys.executable, EXAMPLES / script, *options], timeout=timeout).check()


def ranks_of(launcher: str) -> int:
    return 1 if launcher == "alone" else RANKS


def under(*names: str) -> pytest.MarkDecorator:
    marked = [pytest.param(name, marks=pytest.mark.system if name in SYSTEM_LAUNCHERS else ()) for name in names]
    return pytest.mark.parametrize("launcher", marked)


@under(*LAUNCHERS)
def test_numpy_example_sums_over_all_ranks(launcher: str) -> None:
    job = run_example(launcher, "01_allreduce_numpy.py", timeout=50)
    ranks = ranks_of(launcher)
    total = [float(ranks * i + 10 * sum(range(ranks))) for i in range(5)]
    assert job.last_line == f"sum over {ranks} {'rank' if ranks == 1 else 'ranks'}: {total}"


@pytest.mark.slow
@pytest.mark.timeout(120)
@under("alone", "torchrun", *SYSTEM_LAUNCHERS)  # smddprun: the full training below
def test_torch_example_runs_under_other_launchers(launcher: str) -> None:
    check_short_training(launcher, "02_torch_ddp_digits.py")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_older_module_example_runs_alone() -> None:
    check_short_training("alone", "03_older_module_digits.py")


def check_short_training(launcher: str, script: str) -> None:
    last_line = LAST_LINE.fullmatch(run_example(launcher, script, "--epochs", "2").last_line)
    assert last_line is not None
    assert int(last_line[2]) == ranks_of(launcher)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("script", DIGITS)
def test_digit_example_learns_and_plots(script: str, tmp_path: Path) -> None:
    image = tmp_path / "curve.png"
    job = run_example("smddprun", script, "--plot", image)
    last_line = LAST_LINE.fullmatch(job.last_line)
    assert last_line is not None, job.stdout
    accuracy, ranks, transport, seconds = last_line.groups()
    assert (int(ranks), transport) == (RANKS, "shm")
    assert float(accuracy) >= 0.97
    assert int(seconds) <= 60
    assert re.search(r"^throughput \d+ samples/s$", job.stdout, re.MULTILINE)
    assert image.read_bytes().startswith(b"\x89PNG")
    assert "step" in job.stderr, "no progress bar on standard error"
    assert "\x1b" not in job.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="tensorflow is not installed")
@pytest.mark.parametrize(
    ("script", "launcher"), [*((script, "smddprun") for script in TENSORFLOW_DIGITS), (TENSORFLOW_DIGITS[1], "alone")]
)
def test_tensorflow_example_learns(script: str, launcher: str, tmp_path: Path) -> None:
    image = tmp_path / "curve.png"
    last_line = LAST_LINE.fullmatch(run_example(launcher, script, "--seed", "1", "--plot", image).last_line)
    assert last_line is not None
    accuracy, ranks, _, _ = last_line.groups()
    assert int(ranks) == ranks_of(launcher)
    assert float(accuracy) >= 0.97
    assert image.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_exposed_communication_example_compares_backends() -> None:
    job = run_example(
        "smddprun", "06_exposed_communication.py", "--backends", "smddp", "gloo", "--rounds", "2", "--width", "32"
    )
    rows = re.findall(r"^(DDP|FSDP2) +(\w+) +([\d.]+) +([\d.]+) +(-?[\d.]+)$", job.stdout, re.MULTILINE)
    assert [row[:2] for row in rows] == [(w, b) for b in ("smddp", "gloo") for w in ("DDP", "FSDP2")], job.stdout
    assert all(0 < float(step) < 10_000 for _, _, step, _, _ in rows)


COUNTING_LAST_LINE = re.compile(r"loss (\d+\.\d{4}), (\d+) ranks?, (cpu|cuda), ([a-z+]+), \d+ tokens/s")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_gpu_example_learns_on_the_cpu_too() -> None:
    job = run_example("smddprun", "07_torch_ddp_gpu.py")
    last_line = COUNTING_LAST_LINE.fullmatch(job.last_line)
    assert last_line is not None, job.stdout
    loss, ranks, device, transport = last_line.groups()
    assert int(ranks) == RANKS
    assert float(loss) < 0.3  # 0.18 cannot be foreseen; guessing costs 2.77
    assert [float(each) for each in re.findall(r"^epoch \d: loss (.+)$", job.stdout, re.MULTILINE)][-1] == float(loss)
    assert ("no GPU" in job.stdout) == (device == "cpu")
    assert device == "cuda" or transport == "shm"


@pytest.mark.slow
@pytest.mark.timeout(120)
@under("alone", "torchrun")
def test_gpu_example_runs_under_other_launchers(launcher: str) -> None:
    job = run_example(launcher, "07_torch_ddp_gpu.py", "--epochs", "1", "--lines", "512")
    last_line = COUNTING_LAST_LINE.fullmatch(job.last_line)
    assert last_line is not None, job.stdout
    assert int(last_line[2]) == ranks_of(launcher)

"""Our kernels on a GPU, without torch: their bits, what compute-sanitizer says, and how fast they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.jobs import REPOSITORY

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("gpus")]

DEV = REPOSITORY / "build" / "dev" / "native"
KERNELS = DEV / "kernels" / "libsmddp_kernels.so"


def build(*targets: str, bench: bool = False) -> None:
    """Build targets of C++ tests and benchmarks."""
    if shutil.which("nvcc") is None and not Path("/usr/local/cuda/bin/nvcc").exists():
        pytest.skip("no nvcc, so no kernels")
    options = ["-DSMDDP_BUILD_BENCH=ON"] if bench else []
    for command in (
        ["cmake", "--preset", "dev", *options],
        ["cmake", "--build", "--preset", "dev", "--target", *targets],
    ):
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def run(*command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SMDDP_GPU_KERNELS": str(KERNELS)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


TESTS = (
    str(DEV / "tests" / "device" / "test_device"),
    "-tc=kernels write*,8-bit floats*,what lines tell*,copies have*",
)


def test_bits() -> None:
    """Of every dtype and operation, for 1 to 32 ranks."""
    build("test_device", "smddp_kernels")
    done = run(*TESTS)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_sanitizer(tool: str) -> None:
    if shutil.which("compute-sanitizer") is None:
        pytest.skip("compute-sanitizer is not installed")
    build("test_device", "smddp_kernels")
    done = run("compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *TESTS)
    if "not supported" in done.stdout:
        pytest.skip(f"compute-sanitizer: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout


def test_reduce_is_as_fast_as_copies() -> None:
    """At 64 MiB of each source, at least 90 % of the rate of copies in the same run."""
    build("native_bench", "smddp_kernels", bench=True)
    bench = run(str(DEV / "bench" / "native_bench"), "--benchmark_filter=gpu/", "--benchmark_format=json")
    assert bench.returncode == 0, bench.stderr
    rates = {
        one["name"].split("/real_time")[0]: one["bytes_per_second"] for one in json.loads(bench.stdout)["benchmarks"]
    }
    copy = rates.pop("gpu/copy 64 MiB")
    slow = {name: round(rate / copy, 3) for name, rate in rates.items() if rate < 0.9 * copy}
    assert not slow, f"of the rate of copies, {copy / 1e9:.0f} GB/s"

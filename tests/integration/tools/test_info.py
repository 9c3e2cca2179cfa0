"""The ``smddp info`` command, as users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from smddp import _core

from support.fake_libraries import fake_libraries

pytestmark = pytest.mark.timeout(60)

#: It depends on where smddp was built.
KERNELS = r"smddp has (kernels for sm_\d+( sm_\d+)*|no kernels for GPUs: .+)"
WITHOUT_NCCL = (
    r"(by smddp's kernels inside a host, and through host memory between hosts"
    r"|through host memory, as there is no NCCL: .*2.26.0.*)"
)

SMDDP = str(Path(sys.executable).with_name("smddp"))


def info(**env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SMDDP_")}
    return subprocess.run([SMDDP, "info"], env=inherited | env, capture_output=True, text=True, timeout=30)


def test_shows_each_setting_and_its_origin() -> None:
    shown = info(SMDDP_TIMEOUT="7", RANK="2", WORLD_SIZE="5", MASTER_ADDR="127.0.0.1", LOCAL_RANK="2")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "rank 2 of 5" in shown.stdout
    assert "SMDDP_TIMEOUT = 7.0 (SMDDP_TIMEOUT)" in shown.stdout


def test_shows_what_counts_where_nothing_is_set() -> None:
    shown = info(NCCL_DEBUG="WEIRD")
    assert "SMDDP_DEBUG = WARN (default)" in shown.stdout
    assert "SMDDP_TIMEOUT = 300.0 (default; 1800 in torch.distributed)" in shown.stdout


def test_a_parent_alone_is_no_launcher() -> None:
    alone = {"RANK": "0", "WORLD_SIZE": "1", "SMDDP_ALONE": "1 RANK=0 WORLD_SIZE=1"}
    assert "rank 0 of 1 (from: single)" in info(**alone).stdout


def test_shows_what_is_built_and_found() -> None:
    lines = info().stdout.splitlines()
    assert re.fullmatch(r"smddp \S+, native module built", lines[0])
    for framework in ("torch", "tensorflow"):
        (line,) = (line for line in lines if line.startswith(f"{framework} "))
        assert re.fullmatch(rf"{framework} (\S+|not installed), adapter (not built|built for {framework} \S+)", line)
    left_out = "transports shm, tcp; ofi was left out, for want of libfabric's headers at build time"
    assert ("transports shm, tcp, ofi" if "ofi" in _core.transport_names() else left_out) in lines
    assert any(line.startswith(("GPUs ", "no GPU: ")) for line in lines)
    assert any(re.fullmatch(r"\d+ cores, \S+ \w+ of memory, \S+ \w+ in /dev/shm", line) for line in lines)


@pytest.mark.timeout(180)  # the first may have to build the libraries
@pytest.mark.parametrize(
    ("settings", "way"),
    [
        ({}, r"by NCCL 2\.32\.3 in \S+/libnccl\.so\.2 where each rank has a GPU of its own"),
        ({"SMDDP_GPU_COLLECTIVES": "host"}, "through host memory, as SMDDP_GPU_COLLECTIVES says"),
        ({"FAKE_NCCL_VERSION": "22600"}, WITHOUT_NCCL),
    ],
)
def test_names_gpus_and_how_their_tensors_go(settings: dict[str, str], way: str) -> None:
    folder = fake_libraries()
    shown = info(LD_LIBRARY_PATH=str(folder), SMDDP_NCCL_LIBRARY=str(folder / "libnccl.so.2"), **settings)
    lines = shown.stdout.splitlines()
    (line,) = (line for line in lines if line.startswith("GPUs "))
    assert line == "GPUs Fake GPU 0; driver for CUDA 13.0"
    assert any(re.fullmatch(KERNELS, line) for line in lines)
    (line,) = (line for line in lines if line.startswith("collectives on CUDA tensors go "))
    assert re.fullmatch(rf"collectives on CUDA tensors go {way}", line), line


def test_json() -> None:
    shown = subprocess.run([SMDDP, "info", "--json"], capture_output=True, text=True, timeout=30, check=True)
    told = json.loads(shown.stdout)
    assert told["built"]["core"] is True
    assert told["found"]["rank"] == {"rank": 0, "size": 1, "source": "single"}
    assert {"name": "SMDDP_DEBUG", "value": "WARN", "origin": "default"} in told["configured"]


def test_never_shows_the_secret() -> None:
    shown = info(SMDDP_JOB_SECRET="violet")
    assert "SMDDP_JOB_SECRET = (secret) (SMDDP_JOB_SECRET)" in shown.stdout
    assert "violet" not in shown.stdout + shown.stderr


def test_bad_setting_is_one_line() -> None:
    shown = info(SMDDP_TIMEOUT="soon")
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith("smddp: SMDDP_TIMEOUT")
    assert shown.stderr.count("\n") == 1


def test_closed_pipe_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        ended = subprocess.run([SMDDP, "info"], stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=30)
    finally:
        os.close(write_end)
    assert ended.stderr == ""

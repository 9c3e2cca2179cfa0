"""`smddp bench --device cuda` over real ranks, on the pretended GPU, whose figures mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from integration.torch.conftest import RunRanks

from smddp.tools.bench.collectives import traffic
from smddp.tools.bench.options import COLLECTIVES

from support.fake_libraries import fake_settings

pytestmark = pytest.mark.timeout(180)  # the first may have to build the libraries

SHORT = ("-b", "8", "-e", "32K", "-f", "64", "-n", "4", "-w", "1")
SIZES = 3


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    """Of all ranks."""
    return fake_settings()


#: Every rank on the same GPU.
SHARED = {"FAKE_GPU_COUNT": "1", "FAKE_GPU_SHARED": "1"}


def read(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data["rows"], data


def test_ranks_that_share_a_gpu(run_ranks: RunRanks, settings: dict[str, str], tmp_path: Path) -> None:
    files = [tmp_path / "b.json", tmp_path / "b.csv"]
    words = ["all", *SHORT, "--json", str(files[0]), "--csv", str(files[1])]
    first, second = run_ranks([2], "bench:command", *words, settings={**settings, **SHARED})
    rows, data = read(files[0])
    assert [row["collective"] for row in rows] == [name for name in COLLECTIVES for _ in range(SIZES)]
    rate = data["limits"]["copy_rate"]
    for row in rows:
        assert (row["library"], row["wrong"]) == ("smddp", 0)
        assert 0 < row["p50_s"] <= row["p99_s"]
        assert row["limit_s"] == pytest.approx(traffic(row["collective"], 2) * row["size"] / rate)
        assert row["efficiency"] == pytest.approx(row["limit_s"] / row["time_s"])
    lines = first.stdout.splitlines()
    assert "ranks 2, device fakegpu, GPU fakegpu, GPUs 1, transport ipc" in lines[0]
    assert lines[1] == "# limits of the device under 2 ranks at once"
    assert "copy of 1 MiB from the GPU's memory to itself: " in lines[2]
    assert "(read and written, 2 ranks on a GPU)" in lines[2]
    assert "an all_reduce of n bytes by the 2 ranks of one GPU: 2 * 2 * n bytes" in lines[3]
    assert len([text for text in lines if "float32" in text]) == len(rows)
    assert len(files[1].read_text(encoding="utf-8").splitlines()) == 1 + len(rows)
    assert second.stdout == ""


@pytest.mark.parametrize("by", ["nccl", "host"])
def test_ranks_with_gpus_of_their_own(by: str, run_ranks: RunRanks, settings: dict[str, str], tmp_path: Path) -> None:
    words = [*SHORT, "--json", str(tmp_path / "b.json")]
    first, _ = run_ranks([2], "bench:command", *words, settings={**settings, "SMDDP_GPU_COLLECTIVES": by})
    rows, data = read(tmp_path / "b.json")
    assert {(row["wrong"], row["limit_s"], row["efficiency"]) for row in rows} == {(0, None, None)}
    assert (data["machine"]["transport"], data["limits"]["ranks"]) == (by if by == "nccl" else "host+shm", [1, 1])
    assert "#   no limit by memory traffic: links between 2 GPUs are it" in first.stdout.splitlines()


@pytest.mark.parametrize(
    ("dtype", "op"), [("bfloat16", "sum"), ("bfloat16", "avg"), ("half", "avg"), ("int32", "prod"), ("uint16", "max")]
)
def test_results_are_compared(
    dtype: str, op: str, run_ranks: RunRanks, settings: dict[str, str], tmp_path: Path
) -> None:
    words = ["all_reduce", "reduce_scatter", "reduce", *SHORT, "-d", dtype, "-o", op]
    words += ["--json", str(tmp_path / "b.json")]
    run_ranks([3], "bench:command", *words, settings={**settings, **SHARED})
    rows, _ = read(tmp_path / "b.json")
    assert {row["wrong"] for row in rows} == {0}


def test_libraries_take_turns(run_ranks: RunRanks, settings: dict[str, str], tmp_path: Path) -> None:
    words = ["all_reduce", "all_gather", *SHORT, "--json", str(tmp_path / "b.json")]
    first, _ = run_ranks([2], "bench:in_turns", *words, settings=settings)
    rows, _ = read(tmp_path / "b.json")
    assert [row["library"] for row in rows] == ["smddp", "other"] * 2 * SIZES
    table = [text.split() for text in first.stdout.splitlines() if not text.startswith("#")]
    assert table[0][-3:] == ["other", "#wrong", "ratio"]
    own, other = rows[0], rows[1]
    assert table[2][-3:] == [f"{1e6 * other['time_s']:.2f}", "0", f"{own['time_s'] / other['time_s']:.2f}"]


def test_what_a_library_cannot_do_is_left_out(run_ranks: RunRanks, settings: dict[str, str]) -> None:
    first, _ = run_ranks([2], "bench:refused", "-b", "8", "-e", "8", "-n", "1", settings=settings)
    assert first.stdout.splitlines()[-1].split()[-3:] == ["-", "-", "-"]


def test_nccl_that_cannot_serve_is_left_out(run_ranks: RunRanks, settings: dict[str, str]) -> None:
    words = ["-b", "8", "-e", "8", "-n", "1", "--compare", "nccl"]
    first, second = run_ranks([2], "bench:command", *words, settings={**settings, **SHARED})
    told = [text for text in first.stdout.splitlines() if "--compare nccl is left out: " in text]
    assert len(told) == 1
    assert len([text for text in first.stdout.splitlines() if "float32" in text]) == 1
    assert second.stdout == ""

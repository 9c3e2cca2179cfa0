"""``smddp bench`` over real ranks."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from smddp.tools.bench.options import COLLECTIVES

from support.jobs import BIN, run_job

pytestmark = pytest.mark.timeout(120)

SHORT = ("-b", "8", "-e", "32K", "-f", "64", "-n", "4", "-w", "1")


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_collective(ranks: int, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("b.json", "b.csv", "b.png")]
    words = ["--json", files[0], "--csv", files[1], "--plot", files[2]]
    job = run_job([BIN / "smddp", "bench", "all", "--ranks", str(ranks), *SHORT, *words], timeout=100).check()
    rows = rows_of(files[0])
    assert [row["collective"] for row in rows] == [name for name in COLLECTIVES for _ in range(3)]
    for row in rows:
        assert row["wrong"] == 0
        assert 0 < row["p50_s"] <= row["p99_s"]
        if ranks == 1:
            assert row["limit_s"] is row["efficiency"] is None
        else:
            assert row["efficiency"] == pytest.approx(row["limit_s"] / row["time_s"])
    assert job.stderr == ""
    assert f"ranks {ranks}" in job.stdout.splitlines()[0]
    assert len([text for text in job.stdout.splitlines() if "float32" in text]) == len(rows)
    assert all(file.stat().st_size > 0 for file in files)


@pytest.mark.parametrize(
    ("dtype", "op"), [("half", "avg"), ("int8", "prod"), ("uint64", "xor"), ("bool", "or"), ("double", "max")]
)
def test_results_are_compared(dtype: str, op: str, tmp_path: Path) -> None:
    words = ["all_reduce", "reduce_scatter", "reduce", "-d", dtype, "-o", op, "--json", tmp_path / "b.json"]
    run_job([BIN / "smddp", "bench", *words, "--ranks", "3", *SHORT], timeout=100).check()
    assert {row["wrong"] for row in rows_of(tmp_path / "b.json")} == {0}


@pytest.mark.slow
def test_libraries_take_turns(tmp_path: Path) -> None:
    # The environment of the tests has an MPI of its own.
    peers = ["--compare", "gloo", "--compare", "torch", "--compare", str(BIN)]
    words = [
        "all_reduce",
        "all_gather",
        "--ranks",
        "2",
        *SHORT,
        "--json",
        tmp_path / "b.json",
        "--csv",
        tmp_path / "b.csv",
    ]
    job = run_job([BIN / "smddp", "bench", *words, *peers], timeout=110).check()
    rows = rows_of(tmp_path / "b.json")
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    assert libraries[:3] == ["smddp", "gloo", "smddp, torch"]
    assert re.fullmatch(r"Open MPI [\d.]+", libraries[3])
    assert len(rows) == 2 * 3 * 4
    assert all(0 < row["p50_s"] <= row["p99_s"] for row in rows)
    assert len((tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(rows)
    assert [text.split()[0] for text in job.stdout.splitlines() if not text.startswith("#")][:2] == ["size", "8"]


def test_what_a_library_cannot_do_is_left_out(tmp_path: Path) -> None:
    words = ["reduce", "-o", "avg", "--ranks", "2", *SHORT, "--json", tmp_path / "b.json"]
    job = run_job([BIN / "smddp", "bench", *words, "--compare", str(BIN)], timeout=110).check()
    assert {row["library"] for row in rows_of(tmp_path / "b.json")} == {"smddp"}
    assert job.stdout.splitlines()[-1].split()[-2:] == ["-", "-"]
    assert "cannot do reduce of 8 bytes: KeyError: 'average'" in job.stderr.splitlines()[0]


@pytest.mark.parametrize("peers", [[], ["--compare", str(BIN)]], ids=["ranks", "mpirun"])
def test_nothing_is_left_behind(peers: list[str]) -> None:
    words = [
        "bench",
        "broadcast",
        "--ranks",
        "2",
        "-b",
        "1",
        "-e",
        "1M",
        "-f",
        "1048576",
        "-n",
        "200",
        "-c",
        "0",
        *peers,
    ]
    # A group of its own: the signal must reach the ranks through their parent, not from the test.
    with subprocess.Popen([BIN / "smddp", *words], stdout=subprocess.PIPE, text=True, start_new_session=True) as bench:
        assert bench.stdout is not None
        assert bench.stdout.readline().startswith("#")
        ranks = session_of(bench.pid)
        assert len(ranks) >= 2
        bench.terminate()
        assert bench.wait(timeout=60) == 128 + signal.SIGTERM
    assert session_of(bench.pid) == []


def session_of(leader: int) -> list[int]:
    """The other processes of the session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and int(stat.parent.name) != leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_ranks_of_a_launcher_take_part(tmp_path: Path) -> None:
    words = ["smddp", "bench", *SHORT, "--json", str(tmp_path / "b.json")]
    job = run_job([BIN / "smddprun", "-np", "2", *words], timeout=100).check()
    assert len(rows_of(tmp_path / "b.json")) == 3
    assert len([text for text in job.stdout.splitlines() if "float32" in text]) == 3

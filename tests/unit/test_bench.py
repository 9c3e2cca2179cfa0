"""``smddp bench`` without ranks: options, what a row says, files."""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from smddp.errors import SMDDPArgumentError
from smddp.tools.bench.collectives import bus_factor, make_trial, traffic
from smddp.tools.bench.compare import Comparison, Figures, check_peers
from smddp.tools.bench.limits import Limits
from smddp.tools.bench.options import (
    COLLECTIVES,
    Options,
    add_arguments,
    iterations_for,
    parse_bytes,
    read_options,
    sizes_between,
)
from smddp.tools.bench.peer import Call
from smddp.tools.bench.report import (
    Row,
    describe_limits,
    header,
    line,
    peer_header,
    peer_line,
    peer_rows,
    write_csv,
    write_json,
)
from smddp.tools.cli import main

pytestmark = pytest.mark.timeout(60)

LIMITS = Limits(
    ranks=4,
    flag_s=50e-9,
    futex_s=20e-6,
    pass_s={65536: 10e-6, 131072: 40e-6},
    copy_s={65536: 12e-6, 131072: 41e-6},
)
ROW = Row(
    collective="all_gather",
    size=131072,
    count=32768,
    dtype="float32",
    op="sum",
    time_s=80e-6,
    algbw=131072 / 80e-6,
    busbw=131072 / 80e-6 * 0.75,
    wrong=0,
    p50_s=81.5e-6,
    p99_s=210e-6,
    processor_s=300e-6,
    limit_s=40e-6,
    efficiency=0.5,
)


def options(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return read_options(parser.parse_args(words))


@pytest.mark.parametrize(
    ("text", "size"), [("8", 8), ("64K", 65536), ("64k", 65536), ("1M", 1 << 20), ("2G", 2 << 30), ("0", 0)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "K", "1KB", "-8", "1.5M", "64 K", "MM", "1KK"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no size: write it like 8, 64K, 1M or 2G"):
        parse_bytes(text)


def test_sizes_go_up_by_the_factor() -> None:
    assert sizes_between(8, 1000, 4) == (8, 32, 128, 512)
    assert sizes_between(8, 8, 1) == (8,)
    for first, last, factor in ((0, 8, 2), (16, 8, 2), (8, 16, 1), (8, 16, 0), (8, 16, -2)):
        with pytest.raises(ValueError, match=r"expected"):
            sizes_between(first, last, factor)


def test_names_of_nccl_tests_are_known() -> None:
    read = options("-b", "8", "-e", "1M", "-f", "2", "-n", "7", "-w", "0", "-o", "avg", "-d", "half", "-c", "0")
    assert (read.sizes[0], read.sizes[-1], len(read.sizes)) == (8, 1 << 20, 18)
    assert (read.iterations, read.warmup, read.op, read.dtype, read.check) == (7, 0, "average", "float16", False)
    assert options().collectives == ("all_reduce",)
    assert options("all", "reduce").collectives == COLLECTIVES


def test_small_sizes_are_timed_more_often() -> None:
    assert [iterations_for(options(), size) for size in (8, 1 << 20, 1 << 30)] == [400, 128, 8]
    assert iterations_for(options("-n", "5"), 8) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("scatter",), "scatter: no such collective; choose from all_reduce, "),
        (("-n", "0"), "-n 0: expected a number from 1 up"),
        (("--ranks", "0"), "--ranks 0: expected a number from 1 up"),
        (("-b", "64", "-e", "8"), "-b 64 -e 8: expected 1 <= first <= last"),
        (("-b", "eight"), "'eight' is no size"),
        (("-d", "complex64"), "-d complex64: choose from float, double, half, "),
        (("-d", "bfloat16"), "-d bfloat16: choose from"),
        (("-o", "median"), "-o median: not an operation on float32; choose from sum, "),
        (("-o", "xor"), "-o xor: not an operation on float32"),
        (("--compare", "nowhere"), "--compare nowhere: neither gloo nor torch, nor a folder with mpirun"),
        (("--compare", "gloo", "--plot", "b.png"), "leave out --compare, or --plot"),
        (("--json", "/nowhere/b.json"), "/nowhere/b.json: there is no folder /nowhere"),
    ],
)
def test_bad_options_start_nothing(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err.splitlines()[-1]


def test_ranks_of_a_running_job_are_not_multiplied(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--ranks", "4"])
    assert ended.value.code == 2
    assert "this job has 2 ranks already; leave --ranks out" in capsys.readouterr().err


def test_bus_factors_are_those_of_nccl_tests() -> None:
    assert [bus_factor(name, 4) for name in COLLECTIVES] == [1.5, 0.75, 0.75, 1, 1, 0.75]


def test_the_limit_is_what_memory_and_flag_allow() -> None:
    # 4 ranks pass over 128 KiB each in 40 us: 26.2 GB/s of reads and writes.
    rate = 2 * 4 * 131072 / 40e-6
    for name in COLLECTIVES:
        assert LIMITS.seconds(name, 1 << 20) == pytest.approx(traffic(name, 4) * (1 << 20) / rate)
    assert LIMITS.seconds("all_reduce", 131072) == pytest.approx(40e-6)
    assert LIMITS.seconds("all_reduce", 65536) == pytest.approx(10e-6)
    assert LIMITS.seconds("all_reduce", 8) == 50e-9
    assert [traffic(name, 4) for name in COLLECTIVES] == [8, 5, 5, 4, 5, 8]


def test_a_row_stands_below_its_names() -> None:
    names, units = header("all_gather").splitlines()[1:]
    cells = line(ROW)
    assert len(names) == len(units) == len(cells)
    assert dict(zip(names.split(), cells.split(), strict=True)) == {
        "size": "131072",
        "count": "32768",
        "type": "float32",
        "op": "none",
        "time": "80.00",
        "algbw": "1.64",
        "busbw": "1.23",
        "#wrong": "0",
        "p50": "81.50",
        "p99": "210.0",
        "cpu": "300.0",
        "limit": "40.00",
        "eff": "50",
    }


def test_limits_are_described() -> None:
    text = describe_limits(LIMITS)
    assert "flag hand-off 50 ns, futex wake 20.00 us" in text
    assert re.search(r"131072 B: pass in place +26\.2 GB/s, non-temporal copy +25\.6 GB/s", text)


def test_files_hold_every_row(tmp_path: Path) -> None:
    write_json(tmp_path / "b.json", {"machine": {"ranks": 4}, "limits": LIMITS.as_dict()}, [ROW, ROW])
    data: dict[str, Any] = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert (data["machine"], len(data["rows"]), data["limits"]["ranks"]) == ({"ranks": 4}, 2, 4)
    assert data["rows"][0]["time_s"] == 80e-6
    write_csv(tmp_path / "b.csv", [ROW])
    with (tmp_path / "b.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["collective"], row["size"], float(row["busbw"])) == ("all_gather", "131072", ROW.busbw)


def comparison(*p50: float | None) -> Comparison:
    titles = ["smddp", "smddp, torch", "lib 2", "lib 3"]
    figures = {titles[i]: p and Figures(p50_s=p, p99_s=2 * p, time_s=p / 2, processor_s=p) for i, p in enumerate(p50)}
    return Comparison("all_reduce", 64, figures)


def test_the_ratio_is_the_worst_of_all() -> None:
    assert comparison(2e-6, 1e-6, 8e-6, 4e-6).ratio() == 0.5
    assert comparison(2e-6, None, None, 4e-6).ratio() == 0.5
    assert comparison(2e-6, 1e-6).ratio() is None
    assert comparison(2e-6, 1e-6, None).ratio() is None


def test_gloo_is_held_against_ourselves_in_torch() -> None:
    figures = {title: Figures(p50, p50, p50, p50) for title, p50 in (("smddp", 1.0), ("gloo", 8.0), ("MPI", 5.0))}
    assert Comparison("all_reduce", 8, figures).ratio() == 0.2
    figures["smddp, torch"] = Figures(4.0, 4.0, 4.0, 4.0)
    assert Comparison("all_reduce", 8, figures).ratio() == 0.5


class Idle:
    """A rank of a library whose collectives do nothing."""

    rank, size = 1, 3

    def barrier(self) -> None:
        pass

    def call(self, *_: object) -> Call:
        return self.barrier


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("op", ["sum", "product", "max"])
def test_a_collective_that_does_nothing_is_wrong(collective: str, op: str) -> None:
    trial = make_trial(Idle(), collective, "int32", op, 4096)
    trial.source[:] = trial.inputs(1)
    keeps_its_own = collective == "reduce"  # on the ranks that get nothing
    assert (trial.wrong() == 0) is keeps_its_own
    trial.target[:] = trial.expected()
    assert trial.wrong() == 0
    trial.target[-1] += 1
    assert trial.wrong() == 1


def test_a_comparison_stands_below_its_titles() -> None:
    found = comparison(2e-6, None, 4e-6)
    titles = peer_header("all_reduce", list(found.figures)).splitlines()[1]
    cells = peer_line(found)
    assert len(titles) == len(cells)
    assert cells.split() == ["64", "2.0", "/", "1.0", "(4,", "2)", "-", "4.0", "/", "2.0", "(8,", "4)", "0.50"]
    assert [(row.library, row.p50_s) for row in peer_rows([found], "float32", "sum")] == [
        ("smddp", 2e-6),
        ("lib 2", 4e-6),
    ]


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("mpirun (Open MPI) 5.0.11\n", "Open MPI 5.0.11"),
        ("HYDRA build details:\n    Version:          4.0.2\n    CC: gcc\n", "MPICH 4.0.2"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.18.0 Build 2026\n", "Intel MPI 2021.18.0"),
    ],
)
def test_an_mpi_is_called_by_name_and_version(said: str, title: str, tmp_path: Path) -> None:
    for name, text in (("mpirun", f"#!/bin/sh\nprintf '{said}'\n"), ("python", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (peer,) = check_peers([str(tmp_path)])
    assert (peer.title, peer.library, peer.folder) == (title, "mpi", tmp_path)


@pytest.mark.parametrize("words", [["nowhere"], ["gloo", "gloo"], ["gloo", "/"]])
def test_peers_that_are_not_there(words: list[str]) -> None:
    with pytest.raises(SMDDPArgumentError, match=r"--compare"):
        check_peers(words)


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from smddp.tools.bench.plot import draw

    draw(tmp_path / "b.png", [ROW], "4 ranks")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")

"""``smddp bench --device cuda`` without GPUs: options, what is missing, limits, rows, and right results."""

from __future__ import annotations

import argparse
import dataclasses
import sys

import pytest

torch = pytest.importorskip("torch")

from smddp.errors import SMDDPSystemError  # noqa: E402 - torch first: without it there is nothing to test
from smddp.tools.bench.collectives import traffic  # noqa: E402
from smddp.tools.bench.gpu_report import GpuLimits, GpuRow, describe_gpu_limits, gpu_header, gpu_line  # noqa: E402
from smddp.tools.bench.gpu_trial import GpuTrial, make_gpu_trial, tolerance  # noqa: E402
from smddp.tools.bench.gpus import count_gpus, why_not_nccl  # noqa: E402
from smddp.tools.bench.options import COLLECTIVES, add_arguments, read_options  # noqa: E402
from smddp.tools.bench.run import check_options  # noqa: E402
from smddp.tools.cli import main  # noqa: E402

pytestmark = pytest.mark.timeout(60)

ROW = GpuRow(
    collective="all_reduce",
    size=1 << 20,
    count=1 << 18,
    dtype="float32",
    op="sum",
    time_s=80e-6,
    algbw=13.1e9,
    busbw=13.1e9,
    wrong=0,
    p50_s=81.5e-6,
    p99_s=210e-6,
    processor_s=300e-6,
    limit_s=None,
    efficiency=None,
    library="smddp",
)
SHARED = GpuLimits(ranks=(2,), copy_bytes=256 << 20, copy_rate=4e12)


def test_the_device_is_an_option() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert read_options(parser.parse_args([])).device == "cpu"
    read = read_options(parser.parse_args(["--device", "cuda", "-d", "bfloat16", "--compare", "nccl"]))
    assert (read.device, read.compare) == ("cuda", ("nccl",))
    check_options(read)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "gpu"), "--device: invalid choice: 'gpu'"),
        (("--compare", "nccl"), "--compare nccl: NCCL serves CUDA tensors only; add --device cuda"),
        (("--device", "cuda", "--compare", "gloo"), "with --device cuda smddp is compared with nccl only"),
        (("--device", "cuda", "-R", "1"), "-R 1: registered memory is host memory"),
        (("--device", "cuda", "-o", "xor"), "-o xor: not an operation on float32"),
        (("--device", "cuda", "--compare", "nccl", "--plot", "b.png"), "leave out --compare, or --plot"),
    ],
)
def test_bad_options_start_nothing(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--plot" in words:
        pytest.importorskip("matplotlib")
    monkeypatch.setattr("subprocess.Popen", None)
    assert said in error_of(capsys, *words)


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The last line that the command says when it ends with 2."""
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    return err.splitlines()[-1]


def test_without_a_gpu_one_line_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--device", "cuda", "--ranks", "2", "--compare", "nccl"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(
        f"smddp: --device cuda: torch {torch.__version__} is a build without CUDA; install one with it"
    )


def test_with_a_torch_that_could(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SMDDPSystemError, match=r"^--device cuda: no GPU: .+; run it on a host with one"):
        count_gpus()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert count_gpus() == 3


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SMDDPSystemError, match=r"there is no PyTorch here: install it, then build smddp again"):
        count_gpus()


def test_why_nccl_cannot_serve() -> None:
    assert why_not_nccl((1, 1), available=True) == ""
    assert why_not_nccl((1, 2), available=True) == "NCCL needs a GPU for each rank, and 2 ranks share one"
    assert why_not_nccl((1, 1), available=False) == "this torch is built without NCCL"


def test_the_limit_of_ranks_that_share_a_gpu_is_its_memory() -> None:
    assert SHARED.seconds("all_reduce", 1 << 20) == pytest.approx(2 * 2 * (1 << 20) / 4e12)
    for name in COLLECTIVES:
        assert SHARED.seconds(name, 64) == pytest.approx(traffic(name, 2) * 64 / 4e12)
    for ranks in ((1,), (1, 1), (2, 2)):
        assert dataclasses.replace(SHARED, ranks=ranks).seconds("all_reduce", 64) is None


def test_limits_are_described() -> None:
    assert describe_gpu_limits(SHARED).splitlines() == [
        "# limits of the device under 2 ranks at once",
        "#   copy of 256 MiB from the GPU's memory to itself: 4000.0 GB/s (read and written, 2 ranks on a GPU)",
        "#   limit of an all_reduce of n bytes by the 2 ranks of one GPU: 2 * 2 * n bytes at that rate",
    ]
    own = describe_gpu_limits(dataclasses.replace(SHARED, ranks=(1, 1))).splitlines()
    assert own[1].endswith("(read and written, 1 rank on a GPU)")
    assert own[2] == "#   no limit by memory traffic: links between 2 GPUs are it"
    alone = describe_gpu_limits(dataclasses.replace(SHARED, ranks=(1,)))
    assert alone.endswith("no limit by memory traffic: one rank has nothing to move")


def test_a_row_stands_below_its_names() -> None:
    names, units = gpu_header("all_reduce", ["nccl"]).splitlines()[1:]
    other = dataclasses.replace(ROW, library="nccl", time_s=100e-6, wrong=None)
    cells = gpu_line(ROW, [other])
    assert len(names) == len(units) == len(cells)
    assert names.split()[-3:] == ["nccl", "#wrong", "ratio"]
    assert cells.split()[-3:] == ["100.00", "N/A", "0.80"]
    assert gpu_line(ROW, [None]).split()[-3:] == ["-", "-", "-"]
    assert gpu_line(ROW, []).split()[-2:] == ["N/A", "N/A"]


def trial(collective: str, dtype: str = "float32", op: str = "sum") -> GpuTrial:
    return make_gpu_trial(collective, dtype, op, 4096, device=torch.device("cpu"), rank=1, ranks=3)


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize(("dtype", "op"), [("float32", "sum"), ("bfloat16", "sum"), ("int32", "max")])
def test_a_collective_that_does_nothing_is_wrong(collective: str, dtype: str, op: str) -> None:
    found = trial(collective, dtype, op)
    found.fill()
    keeps_its_own = collective == "reduce"  # on the ranks that get nothing
    assert (found.wrong() == 0) is keeps_its_own
    found.target.copy_(torch.from_numpy(found.oracle.expected()))
    assert found.wrong() == 0
    found.target[-1] += 1
    assert found.wrong() == 1


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_an_average_may_be_a_little_off(value: float) -> None:
    found = trial("all_reduce", "bfloat16", "average")
    found.target.copy_(torch.from_numpy(found.oracle.expected()))
    found.target[0] *= 1 + torch.finfo(torch.bfloat16).eps
    assert found.wrong() == 0
    found.target[0] = value
    assert found.wrong() == 1


def test_only_what_rounds_is_allowed_to() -> None:
    assert tolerance("all_reduce", torch.float32, "sum", 1000) == 0
    assert tolerance("all_reduce", torch.bfloat16, "sum", 25) == 0
    assert tolerance("all_reduce", torch.bfloat16, "sum", 26) > 0
    assert tolerance("all_reduce", torch.int32, "average", 3) == 0
    assert tolerance("all_reduce", torch.float32, "max", 3) == tolerance("all_gather", torch.half, "average", 3) == 0
    assert 0 < tolerance("reduce_scatter", torch.float32, "average", 3) < 1e-5

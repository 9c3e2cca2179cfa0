"""How results of PyTorch's own tests are read and shown; `pytest -m upstream` runs these tests themselves."""

from __future__ import annotations

import io
import json
import unittest

import pytest

from upstream.gpu_tests import GpuTest, gpu_tests
from upstream.known import KNOWN, KNOWN_ON_GPUS
from upstream.page import render
from upstream.results import JsonResult, Result, error_line
from upstream.runs import BACKENDS, WORLD_SIZES, Runs
from upstream.wide_name import GpuName, WideName


def test_a_wide_name_equals_gloo_and_mpi_but_not_nccl() -> None:
    name = WideName("smddp")
    assert name == "smddp"
    assert name == "gloo"
    assert name == "mpi"
    assert (name != "gloo") is False
    assert name != "nccl"
    assert name in {"nccl", "gloo"}
    assert name not in {"nccl", "ucc"}
    assert str(name.lower()) == "smddp"
    assert f"{name}" == "smddp"


def test_the_name_for_gpus_equals_nccl_and_gloo_but_not_mpi() -> None:
    name = GpuName("smddp")
    assert name == "nccl"
    assert name == "gloo"
    assert name == "smddp"
    assert name != "mpi"
    assert name in {"nccl", "gloo"}
    assert str(name.lower()) == "smddp"


def test_tests_of_gpus_are_found() -> None:
    found = {test.name: test for test in gpu_tests()}
    if not found:
        pytest.skip("torch is not installed")
    assert KNOWN_ON_GPUS.keys() <= found.keys()
    assert "test_all_reduce_sum" not in found
    shared, numbered = found["test_all_gather_cuda"], found["test_all_reduce_sum_cuda"]
    assert (shared.ranks(1), shared.ranks(8)) == (2, 2)
    assert (numbered.ranks(1), numbered.ranks(2)) == (1, 2)
    assert found["test_barrier_group_cuda"].ranks(1) == 3
    assert found["test_new_subgroups"].ranks(1) == 4


@pytest.mark.parametrize(
    ("gpus", "numbered", "there", "ranks"),
    [(0, True, 1, 1), (0, False, 1, 2), (2, True, 1, 0), (2, False, 1, 2), (4, True, 3, 0), (4, True, 4, 4)],
)
def test_ranks_of_tests_of_gpus(gpus: int, numbered: bool, there: int, ranks: int) -> None:
    assert GpuTest(name="test_it", gpus=gpus, group=False, numbered=numbered).ranks(there) == ranks


TWO_RANKS_FAILED = """\
Process 0 exited with error code 10 and exception:
Traceback (most recent call last):
  File "a.py", line 1, in test
    collective()
RuntimeError: inner

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in test
    raise ValueError("outer")
ValueError: outer
Exception raised from here (most recent call first):
frame #0: std::function

Process 1 exited with error code 10 and exception:
Traceback (most recent call last):
  File "a.py", line 1, in test
KeyError: 'other'
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TWO_RANKS_FAILED, "ValueError: outer"),
        ("Process 1 terminated or timed out after 60 seconds", "Process 1 terminated or timed out after 60 seconds"),
        ("Scalars are not equal!\n\nExpected 0 but got 1.", "Scalars are not equal!"),
        ("", ""),
    ],
)
def test_error_line(text: str, line: str) -> None:
    assert error_line(text) == line


def failing_and_other_tests() -> unittest.TestSuite:
    class Sample(unittest.TestCase):
        def test_error(self) -> None:
            raise RuntimeError(TWO_RANKS_FAILED)

        def test_fail(self) -> None:
            self.fail("wrong")

        def test_pass(self) -> None:
            pass

        @unittest.skip("no CUDA")
        def test_skip(self) -> None:
            pass

    return unittest.defaultTestLoader.loadTestsFromTestCase(Sample)


def test_each_test_is_a_line_of_json() -> None:
    out = io.StringIO()
    failing_and_other_tests().run(JsonResult(out))
    results = [Result(**json.loads(line)) for line in out.getvalue().splitlines()]
    assert [(result.name, result.outcome, result.reason) for result in results] == [
        ("test_error", "error", "ValueError: outer"),
        ("test_fail", "fail", "wrong"),
        ("test_pass", "pass", ""),
        ("test_skip", "skip", "no CUDA"),
    ]
    assert all(result.seconds >= 0 for result in results)


KNOWN_NAME, KNOWN_REASON = next(iter(KNOWN.items()))


def made_up_runs() -> Runs:
    """Two tests that run somewhere, and one of each group of those that do not."""

    def results(backend: str, size: int) -> dict[str, Result]:
        outcomes = {
            "test_aa": ("skip", "Only MPI supports it") if backend == "gloo" else ("pass", ""),
            "test_ddp_logging_data_cpu": ("skip", "wants 4 ranks")
            if size == 2
            else ("error", f"ValueError: {size} of {backend}"),
            "test_gpu": ("skip", f"Need at least {size} CUDA devices"),
            "test_flaky": ("skip", "Skipped due to flakiness"),
            "test_vision": ("skip", "no torchvision"),
        }
        return {
            name: Result(name=name, outcome=outcome, reason=reason, seconds=size * 0.125)
            for name, (outcome, reason) in outcomes.items()
        }

    return {(backend, size): results(backend, size) for backend in BACKENDS for size in WORLD_SIZES}


def test_the_page_counts_and_groups() -> None:
    lines = render(made_up_runs()).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert rows == [
        "| backend | ranks | pass | fail | skip |",
        "| --- | --- | --- | --- | --- |",
        "| gloo | 2 | 0 | 0 | 5 |",
        "| gloo | 4 | 0 | 1 | 4 |",
        "| smddp | 2 | 1 | 0 | 4 |",
        "| smddp | 4 | 1 | 1 | 3 |",
        "| test | gloo, 2 | gloo, 4 | smddp, 2 | smddp, 4 | why |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `test_aa` | skip | skip | pass | pass | Only MPI supports it |",
        f"| `{KNOWN_NAME}` | skip | fail | skip | fail | wants 4 ranks; {KNOWN_REASON} |",
    ]
    groups = [line for line in lines if line.startswith(("### ", "* "))]
    assert groups == [
        "### Need CUDA devices, or try what only NCCL has (1)",
        "* Need at least 4 CUDA devices: `test_gpu`",
        "### Switched off by PyTorch for all backends (1)",
        "* Skipped due to flakiness: `test_flaky`",
        "### Need software that our tests do not install (1)",
        "* no torchvision: `test_vision`",
    ]

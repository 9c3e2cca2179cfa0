"""PyTorch's own tests of distributed backends with CUDA tensors, those that the GPUs of this machine allow.

Ranks share GPUs where there are fewer; not in tests that take a rank's number for that of its GPU. Those run with as
many ranks as there are GPUs, one if need be, where that is enough for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from upstream.gpu_tests import GpuTest, gpu_tests
from upstream.known import KNOWN_ON_GPUS
from upstream.results import Result
from upstream.runs import TEST_SECONDS, Runner

pytestmark = pytest.mark.timeout(2 * TEST_SECONDS)

RunTest = Callable[[str, int], Result]


@pytest.fixture(scope="module")
def run_test(torch_with_cuda: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunTest]:
    """Runs a test by its name and a number of ranks; the suite is loaded once for each number."""
    runners: dict[int, Runner] = {}
    with contextlib.ExitStack() as ends:

        def run(name: str, ranks: int) -> Result:
            if ranks not in runners:
                folder: Path = tmp_path_factory.mktemp(f"upstream-{ranks}")
                runners[ranks] = ends.enter_context(Runner("smddp", ranks, folder, "cuda"))
                runners[ranks].names()
            try:
                return runners[ranks].run(name)
            except (AssertionError, OSError):
                del runners[ranks]  # it has ended
                raise

        yield run


@pytest.mark.parametrize("test", gpu_tests(), ids=lambda test: test.name)
def test_as_pytorch_tests(test: GpuTest, torch_with_cuda: int, run_test: RunTest) -> None:
    ranks = test.ranks(torch_with_cuda)
    if ranks == 0:
        pytest.skip(f"takes GPUs by the numbers of {max(test.gpus, 2)} ranks; torch can use {torch_with_cuda} GPUs")
    result = run_test(test.name, ranks)
    if result.outcome == "skip":
        pytest.skip(f"PyTorch says, of {ranks} ranks: {result.reason}")
    if result.outcome != "pass" and test.name in KNOWN_ON_GPUS:
        pytest.xfail(KNOWN_ON_GPUS[test.name])
    assert result.outcome == "pass", result.reason

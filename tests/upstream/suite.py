"""Runs PyTorch's own distributed tests, those inside its wheel, on one backend: the tests it is told to, one by one.

    echo test_barrier | BACKEND=smddp WORLD_SIZE=2 PYTHONPATH=tests python -m upstream.suite

Standard output has lines of JSON: first the names of all tests, then for each line of standard input, which names a
test, its result (see `upstream.results`). Whatever the tests print goes to standard error.

The suite takes its settings from the environment: BACKEND; WORLD_SIZE; INIT_METHOD, which has to be a file's address
for one of the tests to run; DISTRIBUTED_TESTS_DEFAULT_TIMEOUT, the seconds a test may take before its ranks are
killed. For every test it starts WORLD_SIZE processes on this machine. They are forked here, where torch is imported
once: a spawned one would import it first, which takes it seconds.

With DEVICE=cuda the gates open for tests of CUDA tensors instead. Where there are fewer GPUs than ranks, the suite gets
to see as many GPUs as ranks, and ranks that ask it for a GPU of theirs share those that there are.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import unittest
from types import ModuleType
from typing import TextIO

import torch.multiprocessing
from torch.testing._internal import common_distributed

from upstream.gpu_tests import SUBGROUP_RANKS
from upstream.results import JsonResult
from upstream.wide_name import GpuName, WideName

SUITE = "torch.testing._internal.distributed.distributed_test"
#: The line of the suite that reads the backend's name, by which its tests are gated.
BACKEND_LINE = 'BACKEND = os.environ["BACKEND"]\n'
WIDENED_LINE = "BACKEND = WIDENED_BACKEND\n"
#: The suite's lists of backends whose profiles it checks; get_backend() is looked up there, not BACKEND.
PROFILED = ("PROFILING_SUPPORTED_BACKENDS", "SEND_RECV_PROFILING_SUPPORTED_BACKENDS")


def load_suite(backend: str) -> ModuleType:
    """The suite's module: as it is for gloo, with widened gates for smddp.

    Raises:
        RuntimeError: this torch's suite does not read BACKEND where we expect it.
    """
    if backend == "gloo":
        return importlib.import_module(SUITE)
    import smddp.torch  # noqa: F401  registers the backend, in the process from which the ranks are forked

    on_gpus = os.environ.get("DEVICE") == "cuda"
    for feature in ("ddp", "subgroup", "plugin", *(("cuda", "gpu") if on_gpus else ())):
        common_distributed.DistTestCases.backend_feature[feature].add(backend)
    ranks = int(os.environ["WORLD_SIZE"])
    if ranks >= SUBGROUP_RANKS:
        common_distributed.skip_if_small_worldsize = lambda test: test
    if on_gpus:
        _share_gpus(ranks)
    module = _load_widened(GpuName(backend) if on_gpus else WideName(backend))
    for name in PROFILED:
        getattr(module, name).append(backend)
    return module


def _share_gpus(ranks: int) -> None:
    """Let the suite count as many GPUs as ranks, if there are fewer; everybody else counts those that there are."""
    count = torch.cuda.device_count
    # Asks NVML (see upstream.runs): had this process used CUDA, the ranks that it forks could not.
    there = count()
    if not 0 < there < ranks:
        return

    def counted() -> int:
        asks = sys._getframe(1).f_globals["__name__"]
        return ranks if asks in (SUITE, common_distributed.__name__) else count()

    torch.cuda.device_count = counted
    common_distributed.init_multigpu_helper = lambda world_size, _: {rank: [rank % there] for rank in range(world_size)}


def _load_widened(name: WideName) -> ModuleType:
    spec = importlib.util.find_spec(SUITE)
    assert spec is not None
    assert spec.loader is not None
    source = spec.loader.get_source(SUITE)
    if source.count(BACKEND_LINE) != 1:
        msg = f"{spec.origin} does not have the line {BACKEND_LINE!r} once; adapt tests/upstream/suite.py to this torch"
        raise RuntimeError(msg)
    module = importlib.util.module_from_spec(spec)
    module.WIDENED_BACKEND = name
    sys.modules[SUITE] = module
    # Line for line, so that tracebacks show the file as it is.
    exec(compile(source.replace(BACKEND_LINE, WIDENED_LINE), spec.origin, "exec", dont_inherit=True), module.__dict__)
    return module


def own_standard_output() -> TextIO:
    """Standard output for the results alone; what ranks print on theirs goes to standard error."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.register_at_fork(after_in_child=own.close)
    return own


def main() -> None:
    """Name the tests, then run those asked for until standard input ends."""
    out = own_standard_output()
    suite = load_suite(os.environ["BACKEND"])
    fork = torch.multiprocessing.get_context("fork")

    class Forked(suite.TestDistBackend, suite.DistributedTest._DistTestBase):
        def setUp(self) -> None:
            super().setUp()
            self._start_processes(fork.Process)

    # Flushed, here and by JsonResult, before anything forks: ranks would inherit what is buffered and write it again.
    print(json.dumps(unittest.defaultTestLoader.getTestCaseNames(Forked)), file=out, flush=True)
    result = JsonResult(out)
    for line in sys.stdin:
        unittest.TestSuite([Forked(line.strip())]).run(result)


if __name__ == "__main__":
    main()

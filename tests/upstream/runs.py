"""Runs the suite on gloo and smddp, a test at a time on each in turn, so that both meet the same machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from support.jobs import REPOSITORY
from support.processes import python_path
from upstream.results import Result

__all__ = ["BACKENDS", "PAIR_SECONDS", "TEST_SECONDS", "WORLD_SIZES", "Run", "Runner", "Runs", "run_all"]

BACKENDS = ("gloo", "smddp")
WORLD_SIZES = (2, 4)
#: A test's ranks are killed after so long; the suite itself gives two tests more.
TEST_SECONDS = 120
#: For the tests of both backends at one number of ranks: two to three minutes when the machine has nothing else to do.
PAIR_SECONDS = 1500
#: Of what a runner printed that did not end well.
LOG_CHARACTERS = 4000

Run = Mapping[str, Result]
"""Results of one run, by name of test."""

Runs = Mapping[tuple[str, int], Run]
"""All runs, by backend and number of ranks."""


class Runner:
    """A process of `upstream.suite`; killed with all its ranks when time is up, and at the end.

    Args:
        backend: gloo or smddp.
        size: number of ranks.
        folder: for what the tests write; what they print goes to a file `log` there.
        device: cpu, or cuda for tests of CUDA tensors.
    """

    def __init__(self, backend: str, size: int, folder: Path, device: str = "cpu") -> None:
        settings = {
            "BACKEND": backend,
            "DEVICE": device,
            "WORLD_SIZE": str(size),
            "INIT_METHOD": f"file://{folder / 'init_method'}",
            "DISTRIBUTED_TESTS_DEFAULT_TIMEOUT": str(TEST_SECONDS),
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",  # some reasons of skips print a set
            "PYTHONPATH": python_path(),
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # GPUs are counted without CUDA, so that forked ranks can use it
            "TMPDIR": str(folder),
        }
        self._log = folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "upstream.suite"],
                env={**os.environ, **settings},
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._alarm = threading.Timer(PAIR_SECONDS, self._process.kill)
        self._alarm.start()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        # Its session: after a time-out there are ranks left. It has not been waited for, so the number is still its.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def names(self) -> list[str]:
        """All tests; the first thing to ask for."""
        names: list[str] = self._answer()
        return names

    def run(self, name: str) -> Result:
        """Run one test.

        Raises:
            AssertionError: the process has ended, or is out of time; the message holds what it printed last.
        """
        assert self._process.stdin is not None
        print(name, file=self._process.stdin, flush=True)
        return Result(**self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the runner has ended:\n{self._log.read_text(errors='replace')[-LOG_CHARACTERS:]}"
        return json.loads(line)


def run_pair(size: int, folder: Path) -> dict[tuple[str, int], dict[str, Result]]:
    """Run the suite on both backends.

    Args:
        size: number of ranks.
        folder: gets a folder for each backend.
    """
    places = {backend: folder / f"{backend}-{size}" for backend in BACKENDS}
    for place in places.values():
        place.mkdir()
    gloo, smddp = BACKENDS
    results: dict[tuple[str, int], dict[str, Result]] = {(backend, size): {} for backend in BACKENDS}
    with Runner(gloo, size, places[gloo]) as first, Runner(smddp, size, places[smddp]) as second:
        names = first.names()
        assert second.names() == names, "the suite has different tests for gloo and for smddp"
        for name in names:
            results[gloo, size][name] = first.run(name)
            results[smddp, size][name] = second.run(name)
    return results


def run_all(folder: Path) -> Runs:
    """Run the suite on both backends with each number of ranks, in folders made in `folder`."""
    runs = {}
    for size in WORLD_SIZES:
        runs |= run_pair(size, folder)
    return runs

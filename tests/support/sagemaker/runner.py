"""Runs training jobs, several at a time, as each one spends half a minute asleep."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from support.sagemaker.cluster import Host, cluster
from support.sagemaker.contents import host_names, prepare_hosts
from support.sagemaker.job import TrainingJob

__all__ = ["Finished", "Runner"]

#: Jobs at a time. Their processes are idle for most of the time, but each needs some hundred MiB of memory.
JOBS = 5

#: Limit for one job.
JOB_SECONDS = 240.0

#: How often a waiting thread looks whether the test run ends.
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A job that has ended.

    Attributes:
        exit_codes: of the hosts' programs; None: still running when it was no longer waited for.
        outputs: of the hosts' programs, with what the ranks printed on the master's.
        folder: has a folder for each host with its /opt/ml, `ml`.
    """

    exit_codes: list[int | None]
    outputs: list[str]
    folder: Path

    @property
    def failure(self) -> str:
        """What the master's failure file says, '' if there is none."""
        path = self.folder / "algo-1" / "ml" / "output" / "failure"
        return path.read_text() if path.exists() else ""

    @property
    def success(self) -> bool:
        """Whether the master reports success to the service."""
        return (self.folder / "algo-1" / "ml" / "output" / "success").exists()

    def reports(self, host: int = 0) -> dict[int, dict[str, Any]]:
        """What the ranks on a host wrote about themselves, by rank."""
        folder = self.folder / f"algo-{host + 1}" / "ml" / "output" / "data"
        return {report["rank"]: report for report in map(_read_json, sorted(folder.glob("rank-*.json")))}

    def __str__(self) -> str:
        return "\n".join([f"exit codes {self.exit_codes}, failure file {self.failure!r}", *self.outputs])


@dataclass(slots=True)
class Runner:
    """Starts jobs in the order in which they are given; leaving the context ends those that still run."""

    folder: Path
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(JOBS))
    _finished: dict[int, Future[Finished]] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def start(self, jobs: Iterable[TrainingJob]) -> None:
        """Run jobs as soon as their turn comes."""
        for job in jobs:
            self._finished[id(job)] = self._pool.submit(self._run, job, self.folder / f"job-{len(self._finished)}")

    def wait(self, job: TrainingJob) -> Finished:
        """The end of a job that was started."""
        return self._finished[id(job)].result()

    def _run(self, job: TrainingJob, folder: Path) -> Finished:
        folder.mkdir()
        setups = prepare_hosts(job, folder)
        with cluster(setups) as hosts:
            exit_codes = self._wait_for(hosts[:1] if job.until_master_ends else hosts)
        logs = [folder / f"{name}.log" for name in host_names(job)]
        outputs = [log.read_text(errors="replace") for log in logs]
        return Finished(exit_codes=exit_codes, outputs=outputs, folder=folder)

    def _wait_for(self, hosts: list[Host]) -> list[int | None]:
        until = time.monotonic() + JOB_SECONDS
        exit_codes: list[int | None] = []
        for host in hosts:
            code = host.wait(POLL_SECONDS)
            while code is None and time.monotonic() < until and not self._stopping.is_set():
                code = host.wait(POLL_SECONDS)
            exit_codes.append(code)
        return exit_codes


def _read_json(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    return report

"""Worlds of ranks that stay up and run one case after the other, so that a case costs milliseconds."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from smddp.launch.machine import free_port

from support.jobs import REPOSITORY

__all__ = ["RankPool", "rank_environment"]

TESTS = REPOSITORY / "tests"
START_SECONDS = 100.0
CASE_SECONDS = 60.0


def rank_environment(rank: int, size: int, port: int) -> dict[str, str]:
    """Variables as torchrun sets them, for all ranks on this machine."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
        "OMP_NUM_THREADS": "1",
    }


@dataclass(slots=True)
class _Rank:
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    answer: bytearray = field(default_factory=bytearray)


class RankPool:
    """`size` processes, each in `rank_main.py`, joined to one world.

    `run()` makes all of them call the same function. A failure on any rank is an AssertionError with what
    the ranks had to say, and ends the world: the next `run()` starts a new one. A world that cannot start is
    not tried again.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._start_failure: str | None = None
        self._ranks: list[_Rank] = []

    def run(self, case: str, *, seconds: float = CASE_SECONDS) -> list[object]:
        """Run `module:function` of the folder `cases` on all ranks; returns their results by rank."""
        assert self._start_failure is None, self._start_failure
        if not self._ranks:
            self._start()
        try:
            return self._ask(case, seconds)
        except BaseException:
            self.close(kill=True)
            raise

    def close(self, *, kill: bool = False) -> None:
        """End the ranks, in order or at once."""
        for rank in self._ranks:
            if kill and rank.process.poll() is None:
                os.killpg(rank.process.pid, signal.SIGKILL)
            assert rank.process.stdin is not None
            rank.process.stdin.close()
        for rank in self._ranks:
            try:
                rank.process.wait(timeout=20)
            finally:
                if rank.process.poll() is None:
                    os.killpg(rank.process.pid, signal.SIGKILL)
                    rank.process.wait()
            assert rank.process.stdout is not None
            rank.process.stdout.close()
            rank.log.close()
        self._ranks = []

    def _start(self) -> None:
        port = free_port()
        for rank in range(self.size):
            environment = {
                **os.environ,
                **rank_environment(rank, self.size, port),
                "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]),
            }
            log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pool
            process = subprocess.Popen(
                [sys.executable, "-W", "error", Path(__file__).with_name("rank_main.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
            self._ranks.append(_Rank(process, log))
        try:
            self._collect("start", START_SECONDS)
        except BaseException as failure:
            self._start_failure = str(failure)
            self.close(kill=True)
            raise

    def _ask(self, case: str, seconds: float) -> list[object]:
        for rank in self._ranks:
            assert rank.process.stdin is not None
            rank.process.stdin.write(f"{case}\n".encode())
            rank.process.stdin.flush()
        return self._collect(case, seconds)

    def _collect(self, case: str, seconds: float) -> list[object]:
        deadline = time.monotonic() + seconds
        waiting = dict(enumerate(self._ranks))
        with selectors.DefaultSelector() as selector:
            for number, rank in waiting.items():
                assert rank.process.stdout is not None
                rank.answer.clear()
                selector.register(rank.process.stdout, selectors.EVENT_READ, number)
            while waiting and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 1 << 16)
                    rank = self._ranks[key.data]
                    rank.answer += data
                    if not data or rank.answer.endswith(b"\n"):
                        selector.unregister(key.fileobj)
                        del waiting[key.data]
        answers = [json.loads(rank.answer) if rank.answer.endswith(b"\n") else {} for rank in self._ranks]
        if not all("result" in answer for answer in answers):
            raise AssertionError(self._report(case, answers))
        return [answer["result"] for answer in answers]

    def _report(self, case: str, answers: list[dict[str, object]]) -> str:
        lines = [f"{case}, world of {self.size}:"]
        for number, (rank, answer) in enumerate(zip(self._ranks, answers, strict=True)):
            status = rank.process.poll()
            nothing = "no answer in time" if status is None else f"exited with {status}"
            lines.append(f"--- rank {number}: {answer.get('error', 'ok' if answer else nothing)}")
            if not answer:
                rank.log.seek(0)
                lines.append(rank.log.read().decode(errors="replace"))
        return "\n".join(lines)

"""Processes that run ranks: fresh interpreters, or forks of one that has imported the heavy modules."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from support.jobs import REPOSITORY

__all__ = ["FreshInterpreters", "RankTask", "Starter", "Template", "is_running", "python_path", "session_members"]

#: Importing torch takes seconds, on a busy machine many of them.
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTask:
    """What one rank runs: `case` ("module:function") with text arguments; `output` and `error` are descriptors."""

    case: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    output: int
    error: int


class Running(Protocol):
    """A rank's process, leader of a session of its own."""

    pid: int

    def wait(self, until: float) -> tuple[int, float] | None:
        """Exit code (negative: killed by that signal) and time of the end; None if it still runs at `until`."""


class Starter(Protocol):
    """Starts processes of ranks."""

    def start(self, task: RankTask) -> Running:
        """Start one."""


def python_path() -> str:
    """PYTHONPATH with which processes find `support` and the cases."""
    return os.pathsep.join([str(REPOSITORY / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])


class FreshInterpreters:
    """Every rank is a Python interpreter of its own, as a launcher starts them."""

    def start(self, task: RankTask) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.rank_main", task.case, *task.arguments],
            env={**task.env, "PYTHONPATH": python_path()},
            stdin=subprocess.DEVNULL,
            stdout=task.output,
            stderr=task.error,
            start_new_session=True,
        )
        return _Fresh(process)


class _Fresh:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._ended = 0.0
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        self._process.wait()
        self._ended = time.monotonic()

    def wait(self, until: float) -> tuple[int, float] | None:
        self._watcher.join(max(until - time.monotonic(), 0))
        return None if self._watcher.is_alive() else (self._process.returncode, self._ended)


class Template:
    """Forks ranks from one process that has imported `modules`, so that a rank starts in milliseconds.

    A rank is an ordinary process otherwise: it leads a session, has its own environment and streams, and ends through
    the interpreter's usual exit. Importing the modules must start no thread.

    Args:
        modules: what to import.
        freeze: keep the garbage collector away from what the modules made. Ranks then do not copy and take apart all
            of it when they end, which takes TensorFlow a second of a processor; only what they made themselves.
    """

    def __init__(self, *modules: str, freeze: bool = False) -> None:
        self._link, theirs = socket.socketpair()
        options = ["--freeze"] if freeze else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.template_main", *options, str(theirs.fileno()), *modules],
            env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._changed = threading.Condition()
        self._started: list[int] = []
        self._ended: dict[int, tuple[int, float]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, task: RankTask) -> Running:
        request = {"case": task.case, "arguments": list(task.arguments), "env": dict(task.env)}
        socket.send_fds(self._link, [json.dumps(request).encode()], [task.output, task.error])
        with self._changed:
            if not self._changed.wait_for(lambda: self._started, START_SECONDS):
                raise AssertionError(f"the template process forked nothing within {START_SECONDS:.0f} s")
            return _Forked(self, self._started.pop())

    def wait(self, pid: int, until: float) -> tuple[int, float] | None:
        """As `Running.wait`."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._ended, max(until - time.monotonic(), 0))
            return self._ended.get(pid)

    def close(self) -> None:
        """End the template; its ranks have ended before."""
        self._link.shutdown(socket.SHUT_WR)
        self._process.wait(timeout=20)
        self._reader.join(20)
        self._link.close()

    def _read(self) -> None:
        with self._link.makefile() as answers:
            for line in answers:
                answer = json.loads(line)
                with self._changed:
                    if "pid" in answer:
                        self._started.append(answer["pid"])
                    else:
                        self._ended[answer["ended"]] = answer["returncode"], time.monotonic()
                    self._changed.notify_all()


class _Forked:
    def __init__(self, template: Template, pid: int) -> None:
        self.pid = pid
        self._template = template

    def wait(self, until: float) -> tuple[int, float] | None:
        return self._template.wait(self.pid, until)


def session_members(sessions: set[int]) -> dict[int, str]:
    """Command names, by pid, of the live processes in these sessions."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found = {pid: _name_and_session(pid) for pid in pids}
    return {pid: place[0] for pid, place in found.items() if place is not None and place[1] in sessions}


def is_running(pid: int) -> bool:
    """Whether the process is there and is no zombie."""
    return _name_and_session(pid) is not None


def _name_and_session(pid: int) -> tuple[str, int] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, fields = stat.partition("(")[2].rpartition(")")
    state, _, _, session = fields.split()[:4]
    return None if state in "ZX" else (name, int(session))

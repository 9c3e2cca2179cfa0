"""Run a command as a job of its own: bounded in time, with nothing left running afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BIN", "REPOSITORY", "Job", "hear_signals", "run_job"]

#: Where the programs of this Python's environment are: mpirun, smddprun, torchrun.
BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that ended."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    def check(self) -> Job:
        """Return the job itself, or raise AssertionError with all its output if it failed."""
        assert self.returncode == 0, f"{self.argv} exited with {self.returncode}\n{self.stdout}\n{self.stderr}"
        return self

    @property
    def last_line(self) -> str:
        """Last line of standard output that is not empty, or ''."""
        return next((line for line in reversed(self.stdout.splitlines()) if line.strip()), "")


def hear_signals() -> None:
    """As a process of a terminal does, whatever started these tests: nohup and background shells ignore some."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run_job(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
) -> Job:
    """Run a command in its own session and kill that session when time is up.

    Args:
        argv: the command.
        timeout: seconds it may take.
        env: variables to set on top of the present environment.
        cwd: working directory.

    Raises:
        AssertionError: the command ran out of time; the message holds what it had printed.
    """
    words = tuple(str(word) for word in argv)
    process = subprocess.Popen(
        words,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        message = f"{words} still ran after {timeout:.0f} s\n{stdout}\n{stderr}"
        raise AssertionError(message) from None
    return Job(argv=words, returncode=process.returncode, stdout=stdout, stderr=stderr)

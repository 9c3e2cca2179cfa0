"""smddprun as the parent of mpirun: brings its output, ends it in time, and says what became of the job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from smddp.launch.supervision.records import Splitter
from smddp.launch.supervision.status_line import StatusLine
from smddp.launch.supervision.verdict import EXIT_TIMEOUT, Job, exit_code, summarize
from smddp.launch.supervision.watch import die_with_parent

__all__ = ["supervise"]

_STDOUT, _STDERR = 1, 2
_HEARD = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_TICK_SECONDS = 0.5
#: What mpirun gets for ending the job, before the next stronger signal.
_PATIENCE_SECONDS = 10.0
#: MPICH lets the other ranks run on after one has failed: they have this long to notice it themselves.
_FAILURE_GRACE_SECONDS = 10.0
_DRAIN_SECONDS = 5.0


def supervise(argv: Sequence[str], env: Mapping[str, str], *, size: int, timeout: float | None) -> int:
    """Run the job to its end; returns the exit code that smddprun has to end with.

    Args:
        argv: mpirun's command; its ranks report as `watch` does.
        env: the environment that it starts in.
        size: number of ranks.
        timeout: seconds that the job may take.

    Raises:
        OSError: mpirun cannot be started.
    """
    return _Supervisor(size, timeout).run(argv, env)


class _Supervisor:
    def __init__(self, size: int, timeout: float | None) -> None:
        self._job = Job(size)
        self._begun = time.monotonic()
        self._timeout = timeout
        self._lock = threading.Lock()  # of job and status line, which the pumps use too
        self._status = StatusLine(self._job, sys.stderr.buffer if sys.stderr.isatty() else None)
        self._failed_at: float | None = None
        self._stronger = iter((signal.SIGTERM, signal.SIGKILL))
        self._stronger_at = float("inf")

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        # With a status line in the way, standard output has to come through here as well.
        through = subprocess.PIPE if sys.stderr.isatty() else None
        mpirun = subprocess.Popen(
            argv, env=env, stdout=through, stderr=subprocess.PIPE, preexec_fn=_before_mpirun, restore_signals=True
        )
        pumps = [threading.Thread(target=self._pump_errors, args=(mpirun.stderr,), daemon=True)]
        if mpirun.stdout is not None:
            pumps.append(threading.Thread(target=self._pump_output, args=(mpirun.stdout,), daemon=True))
        for pump in pumps:
            pump.start()
        while mpirun.poll() is None:
            heard = signal.sigtimedwait(_HEARD, _TICK_SECONDS)
            if heard is not None and heard.si_signo != signal.SIGCHLD:
                self._on_signal(mpirun, heard)
            self._look(mpirun)
        for pump in pumps:
            pump.join(_DRAIN_SECONDS)  # a process that outlives mpirun may hold the stream open
        return self._conclude(mpirun.returncode)

    def _on_signal(self, mpirun: subprocess.Popen[bytes], heard: signal.struct_siginfo) -> None:
        number = signal.Signals(heard.si_signo)
        # One that a process has sent came here alone; the terminal's went to mpirun as well.
        if heard.si_pid:
            mpirun.send_signal(number)
        self._end(number.name, 128 + number)

    def _look(self, mpirun: subprocess.Popen[bytes]) -> None:
        now = time.monotonic()
        with self._lock:
            self._status.refresh()
            failed = bool(self._job.failures)
        if failed and self._failed_at is None:
            self._failed_at = now
            self._stronger_at = min(self._stronger_at, now + _FAILURE_GRACE_SECONDS)
        if self._timeout is not None and now - self._begun > self._timeout and not self._job.ended_by:
            self._end(f"the timeout of {self._timeout:g} s", EXIT_TIMEOUT)
            self._stronger_at = now
        if now >= self._stronger_at:
            mpirun.send_signal(next(self._stronger, signal.SIGKILL))
            self._stronger_at = now + _PATIENCE_SECONDS

    def _end(self, why: str, code: int) -> None:
        with self._lock:
            if not self._job.ended_by:
                self._job.ended_by, self._job.ended_code = why, code
        self._stronger_at = min(self._stronger_at, time.monotonic() + _PATIENCE_SECONDS)

    def _pump_errors(self, stream: IO[bytes]) -> None:
        splitter = Splitter()
        while piece := os.read(stream.fileno(), 65536):
            text, records = splitter.feed(piece)
            with self._lock:
                for record in records:
                    self._job.add(record)
                self._job.hear(text.decode("utf-8", "replace"))
                self._print(_STDERR, text)
        with self._lock:
            self._print(_STDERR, splitter.end())

    def _pump_output(self, stream: IO[bytes]) -> None:
        while piece := os.read(stream.fileno(), 65536):
            with self._lock:
                self._print(_STDOUT, piece)

    def _print(self, stream: int, text: bytes) -> None:
        if text:
            # Whoever should read it may be gone; the job goes on, and its output has to be taken from mpirun.
            with contextlib.suppress(OSError):
                self._status.clear()
                while text:
                    text = text[os.write(stream, text) :]

    def _conclude(self, mpirun_status: int) -> int:
        with self._lock:
            self._status.clear()
            self._job.mpirun_status = mpirun_status
            line = summarize(self._job, time.monotonic() - self._begun)
            if line:
                self._print(_STDERR, f"smddprun: {line}\n".encode())
            return exit_code(self._job)


def _before_mpirun() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
    # However smddprun ends: mpirun ends the ranks of all hosts when it is terminated.
    die_with_parent(signal.SIGTERM)

"""smddprun as the parent of mpirun: brings its output, ends it in time, and says what became of the job."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO

from smddp.launch.supervision.console import STDERR, STDOUT, Console
from smddp.launch.supervision.mpirun_process import MpirunProcess
from smddp.launch.supervision.records import Splitter
from smddp.launch.supervision.status_line import StatusLine, on_terminal
from smddp.launch.supervision.verdict import EXIT_TIMEOUT, Job, exit_code, summarize

__all__ = ["supervise"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)
_SI_KERNEL = 0x80
_TICK_SECONDS = 0.5
#: What mpirun gets for ending the job, before the next stronger signal.
_PATIENCE_SECONDS = 10.0
#: MPICH lets the other ranks run on after one has failed: they have this long to notice it themselves.
_FAILURE_GRACE_SECONDS = 10.0
_DRAIN_SECONDS = 5.0


def supervise(
    argv: Sequence[str], env: Mapping[str, str], *, size: int, timeout: float | None, folder: Path | None
) -> int:
    """Run the job to its end; returns the exit code that smddprun has to end with.

    Args:
        argv: mpirun's command; its ranks report as `watch` does.
        env: the environment that it starts in.
        size: number of ranks.
        timeout: seconds that the job may take.
        folder: mpirun's session directory, which is removed at the end even if this process is killed.

    Raises:
        OSError: mpirun cannot be started.
    """
    # Who is started by nohup and the like keeps ignoring what it ignores.
    heard = {number for number in (*_ENDING, *_PASSED_ON) if signal.getsignal(number) is not signal.SIG_IGN}
    heard.add(signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    # With a status line in the way, standard output has to come through here as well.
    mpirun = MpirunProcess(argv, env, heard, takes_output=os.isatty(STDERR), folder=folder)
    return _Supervisor(mpirun, Job(size), timeout).run(heard)


class _Supervisor:
    def __init__(self, mpirun: MpirunProcess, job: Job, timeout: float | None) -> None:
        self._mpirun = mpirun
        self._job = job
        self._job_lock = threading.Lock()  # a thread for standard error takes notes of the job
        self._console = Console(StatusLine(job, on_terminal(STDERR)))
        self._begun = time.monotonic()
        self._timeout = timeout
        self._failed_at: float | None = None
        self._stronger = iter((signal.SIGTERM, signal.SIGKILL))
        self._stronger_at = float("inf")

    def run(self, heard: Collection[signal.Signals]) -> int:
        output, errors = self._mpirun.streams
        pumps = [threading.Thread(target=self._pump_errors, args=(errors,), daemon=True)]
        if output is not None:
            pumps.append(threading.Thread(target=self._pump_output, args=(output,), daemon=True))
        signals: queue.SimpleQueue[signal.struct_siginfo] = queue.SimpleQueue()
        # Not sigtimedwait here: after a stop and continue it returns what nobody has sent.
        listener = threading.Thread(target=_listen, args=(heard, signals), daemon=True)
        for thread in (*pumps, listener):
            thread.start()
        while not self._mpirun.is_over():
            try:
                self._on_signal(signals.get(timeout=_TICK_SECONDS))
            except queue.Empty:
                self._console.refresh()
            self._look()
        for pump in pumps:
            pump.join(_DRAIN_SECONDS)  # a process that outlives mpirun may hold the stream open
        with self._job_lock:
            self._job.mpirun_status = self._mpirun.status
            self._console.finish(summarize(self._job, time.monotonic() - self._begun), _DRAIN_SECONDS)
            return exit_code(self._job)

    def _on_signal(self, heard: signal.struct_siginfo) -> None:
        number = signal.Signals(heard.si_signo)
        if number is signal.SIGCHLD:
            return
        # What a process has sent came here alone; the terminal's went to mpirun as well.
        if heard.si_code != _SI_KERNEL:
            self._mpirun.send(number)
        if number not in _PASSED_ON:
            self._end(number.name, 128 + number)

    def _look(self) -> None:
        now = time.monotonic()
        with self._job_lock:
            failed = bool(self._job.failures)
        if failed and self._failed_at is None:
            self._failed_at = now
            self._stronger_at = min(self._stronger_at, now + _FAILURE_GRACE_SECONDS)
        if self._timeout is not None and now - self._begun > self._timeout and not self._job.ended_by:
            self._end(f"the timeout of {self._timeout:g} s", EXIT_TIMEOUT)
            self._stronger_at = now
        if now >= self._stronger_at:
            self._mpirun.send(next(self._stronger, signal.SIGKILL))
            self._stronger_at = now + _PATIENCE_SECONDS

    def _end(self, why: str, code: int) -> None:
        with self._job_lock:
            if not self._job.ended_by:
                self._job.ended_by, self._job.ended_code = why, code
        self._stronger_at = min(self._stronger_at, time.monotonic() + _PATIENCE_SECONDS)

    def _pump_errors(self, stream: IO[bytes]) -> None:
        splitter = Splitter()
        while piece := os.read(stream.fileno(), 65536):
            text, records = splitter.feed(piece)
            with self._job_lock:
                for record in records:
                    self._job.add(record)
                self._job.hear(text.decode("utf-8", "replace"))
            self._console.print(STDERR, text)
        self._console.print(STDERR, splitter.end())

    def _pump_output(self, stream: IO[bytes]) -> None:
        while piece := os.read(stream.fileno(), 65536):
            self._console.print(STDOUT, piece)


def _listen(heard: Collection[signal.Signals], signals: queue.SimpleQueue[signal.struct_siginfo]) -> None:
    while True:
        signals.put(signal.sigwaitinfo(heard))

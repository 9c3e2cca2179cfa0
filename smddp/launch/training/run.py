"""A training job as a process: smddprun, whose output is shown and kept, and whose end is written down."""

from __future__ import annotations

import enum
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TextIO

from smddp.errors import SMDDPError, SMDDPSystemError
from smddp.launch.supervision.kernel import die_with_parent
from smddp.launch.training.failure import SHOWN_CHARACTERS, ErrorLines, failure_text
from smddp.launch.training.folder import JobFolder

__all__ = ["JobFailedError", "Output", "TrainingRun", "smddprun_command"]

#: smddprun ends its job in two steps of ten seconds; only a broken one takes longer.
_PATIENCE_SECONDS = 30.0
_DRAIN_SECONDS = 5.0


class Output(enum.Enum):
    """What becomes of a job's output, which output/log.txt keeps in any case.

    SHOWN: it appears here too. KEPT: it does not. Both end the job with the thread that starts it. DETACHED: as KEPT,
    and the job goes on when this process ends.
    """

    SHOWN = "shown"
    KEPT = "kept"
    DETACHED = "detached"


class JobFailedError(SMDDPError):
    """A training job ended with another exit code than 0.

    Args:
        job_name: of the job.
        exit_code: of smddprun: that of the rank where it began.
        lines: what it printed about its failure.
        failure_file: where all of it is.
    """

    def __init__(self, job_name: str, exit_code: int, lines: Sequence[str], failure_file: Path) -> None:
        said = "\n".join(lines)[:SHOWN_CHARACTERS]
        super().__init__(f"training job {job_name} failed with exit code {exit_code}, see {failure_file}:\n{said}")
        self.exit_code = exit_code
        self.failure_file = failure_file


class TrainingRun:
    """A job that was started.

    Args:
        job_name: of the job.
        folder: its files.
        command: the script's words, for the failure file.
    """

    def __init__(self, job_name: str, folder: JobFolder, command: Sequence[str]) -> None:
        self.job_name = job_name
        self.job_dir = str(folder.base)
        self.model_dir = str(folder.model)
        self.output_dir = str(folder.output)
        self.exit_code: int | None = None
        self.duration_s: float | None = None
        self._folder = folder
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._pumps: list[threading.Thread] = []
        self._begun = time.monotonic()

    @property
    def name(self) -> str:
        """The job's name, as the SDK's jobs have it."""
        return self.job_name

    def start(self, argv: Sequence[str], env: Mapping[str, str], output: Output) -> None:
        """Start smddprun.

        Raises:
            SMDDPSystemError: the process cannot be started.
        """
        shows = output is Output.SHOWN
        try:
            with self._folder.log.open("ab") as log:
                self._process = subprocess.Popen(
                    argv,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if shows else log,
                    stderr=subprocess.PIPE if shows else subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=None if output is Output.DETACHED else _end_with_caller,
                )
        except OSError as error:
            msg = f"cannot start {argv[0]}: {error.strerror}"
            raise SMDDPSystemError(msg) from error
        if shows:
            self._show(self._process)

    def wait(self, *, check: bool = True) -> TrainingRun:
        """Wait for the end; interrupted, it ends the job first. Fills in ``exit_code`` and ``duration_s``.

        Raises:
            JobFailedError: the job failed, unless ``check`` is false.
        """
        if self._process is not None and self.exit_code is None:
            try:
                code = self._process.wait()
            except BaseException:
                self._conclude(self._end(self._process))
                raise
            self._conclude(code)
        if check and self.exit_code:
            raise JobFailedError(self.job_name, self.exit_code, self._error_lines(), self._folder.failure)
        return self

    def _show(self, process: subprocess.Popen[bytes]) -> None:
        for stream, shown in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            pump = threading.Thread(target=_pump, args=(stream, shown, self._folder.log), daemon=True)
            pump.start()
            self._pumps.append(pump)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        # It has a session of its own, so that it hears of an interruption from here, once.
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _conclude(self, code: int) -> None:
        for pump in self._pumps:
            pump.join(_DRAIN_SECONDS)
        self.duration_s = time.monotonic() - self._begun
        self.exit_code = code if code >= 0 else 128 - code
        if self.exit_code == 0:
            self._folder.success.touch()
        else:
            text = failure_text(self._error_lines(), self.exit_code, self._command)
            self._folder.failure.write_text(text, encoding="utf-8")

    def _error_lines(self) -> list[str]:
        errors = ErrorLines()
        with self._folder.log.open(encoding="utf-8", errors="replace") as log:
            for line in log:
                errors.add(line)
        return errors.lines()


def smddprun_command() -> list[str]:
    """Return the command beside this Python, else the module."""
    script = Path(sys.executable).absolute().parent / "smddprun"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "smddp.launch"]


def _end_with_caller() -> None:
    die_with_parent(signal.SIGTERM)


def _pump(stream: IO[bytes], shown: TextIO, log: Path) -> None:
    # opened for appending: what two threads write does not overwrite each other
    with stream, log.open("ab", buffering=0) as kept:
        for line in stream:
            kept.write(line)
            shown.write(line.decode("utf-8", errors="replace"))
            shown.flush()

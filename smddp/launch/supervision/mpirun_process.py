"""The process that smddprun has started as mpirun, which may be a script around the real one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO

from smddp.launch.supervision.descendants import descendants, real_mpiruns
from smddp.launch.supervision.guard import Ending, guard
from smddp.launch.supervision.kernel import adopt_orphans

__all__ = ["MpirunProcess"]


class MpirunProcess:
    """mpirun, in the process group of smddprun, below a guard that ends it when smddprun is gone.

    Args:
        argv: its command.
        env: its environment.
        blocked: signals that smddprun has blocked, and mpirun has not; SIGCHLD is one of them.
        takes_output: whether smddprun is to get its standard output; standard error it always gets.
        folder: its session directory, for the guard to remove.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        blocked: Collection[signal.Signals],
        *,
        takes_output: bool,
        folder: Path | None,
    ) -> None:
        launcher = os.getpid()

        def prepare() -> None:
            guard(launcher, folder)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)

        # The guard may be killed before what it guards.
        adopt_orphans()
        self._ending = Ending()
        output = subprocess.PIPE if takes_output else None
        self._guard = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.PIPE, preexec_fn=prepare)

    @property
    def streams(self) -> tuple[IO[bytes] | None, IO[bytes] | None]:
        """Standard output and standard error, as far as they come here."""
        return self._guard.stdout, self._guard.stderr

    @property
    def status(self) -> int:
        """Exit code, or the negative number of the signal; once it is over."""
        return self._guard.returncode

    def is_over(self) -> bool:
        """Whether it has ended, the real one included; ended children are let go. To be asked again and again."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._guard.pid:
                    self._guard.returncode = os.waitstatus_to_exitcode(status)
        if self._guard.returncode is None:
            return False
        unguarded = [process.pid for process in real_mpiruns(descendants(os.getpid()))]
        if unguarded:
            self._ending.step(unguarded)
        return not unguarded

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and the real one, too."""
        processes = descendants(os.getpid())
        started = [process.pid for process in processes if process.parent == self._guard.pid]
        for pid in {*started, *(process.pid for process in real_mpiruns(processes))}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

"""The process that smddprun has started as mpirun, which may be a script around the real one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO

from smddp.launch.supervision.kernel import adopt_orphans, die_with_parent

__all__ = ["MpirunProcess"]

_NAMES = ("mpirun", "mpiexec", "prterun", "orterun")


class MpirunProcess:
    """mpirun, in the process group of smddprun.

    Args:
        argv: its command.
        env: its environment.
        blocked: signals that smddprun has blocked, and mpirun has not.
        takes_output: whether smddprun is to get its standard output; standard error it always gets.

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
    ) -> None:
        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
            # However smddprun ends: mpirun ends the ranks of all hosts when it is terminated.
            die_with_parent(signal.SIGTERM)

        # A script dies of a signal before the mpirun that it has started.
        adopt_orphans()
        output = subprocess.PIPE if takes_output else None
        self._process = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.PIPE, preexec_fn=prepare)

    @property
    def streams(self) -> tuple[IO[bytes] | None, IO[bytes] | None]:
        """Standard output and standard error, as far as they come here."""
        return self._process.stdout, self._process.stderr

    @property
    def status(self) -> int:
        """Exit code, or the negative number of the signal; once it is over."""
        return self._process.returncode

    def is_over(self) -> bool:
        """Whether it has ended, the real one included; ended children are let go."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._process.pid:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode is not None and not self._real_ones()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and the real one, too."""
        own = [] if self._process.returncode is not None else [self._process.pid]
        for pid in {*own, *self._real_ones()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _real_ones(self) -> list[int]:
        group = os.getpgrp()
        return [
            process for process, name, its_group in _descendants() if its_group == group and name.startswith(_NAMES)
        ]


def _descendants() -> list[tuple[int, str, int]]:
    """Number, name and process group of what has come of this process and has not ended."""
    children: dict[int, list[tuple[int, str, int]]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has just ended
        # pid (command) state parent group ...; the command itself may hold spaces and parentheses
        command, _, rest = stat.partition("(")[2].rpartition(")")
        state, parent, group = rest.split()[:3]
        if state not in "ZX":
            children.setdefault(int(parent), []).append((int(folder.name), command, int(group)))
    found: list[tuple[int, str, int]] = []
    pids = [os.getpid()]
    for pid in pids:
        found += children.get(pid, [])
        pids += [child for child, _, _ in children.get(pid, [])]
    return found

"""smddprun as the parent of a rank's program.

Between mpirun and the program it passes signals on, tells the launcher of start and end, and leaves nothing behind: the
program dies with it, and it ends the program when mpirun is gone. The exit code, or the signal, is the program's.

Open MPI signals the whole process group of what it has started, so there the program stays in it and gets signals
without help. With others it has a group of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from smddp.errors import SMDDPArgumentError
from smddp.launch.supervision.cause import find_cause
from smddp.launch.supervision.kernel import die_with_parent, end_as
from smddp.launch.supervision.outlet import Outlet, write_all
from smddp.launch.supervision.records import Ended, Record, Started, encode
from smddp.launch.supervision.tagging import LineTagger

__all__ = ["Wishes", "watch"]

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: How soon it is noticed that mpirun is gone, and how long the program then has to end by itself.
_LOOK_SECONDS = 1.0
_FAREWELL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to happen besides.

    Args:
        tells: tell the launcher of start and end.
        tags: begin each line of output with the rank.
        log: a file that also gets all output.
    """

    tells: bool = False
    tags: bool = False
    log: str | None = None


def watch(rank: int, become_program: Callable[[], object], wishes: Wishes) -> NoReturn:
    """Run the program in a child process, and end as it does.

    Args:
        rank: of this process in the job.
        become_program: replaces the process that calls it by the program, or says why not and returns.
        wishes: see there.

    Raises:
        SMDDPArgumentError: the log cannot be written.
    """
    try:
        log = os.open(wishes.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644) if wishes.log else None
    except OSError as error:
        msg = f"rank {rank}: cannot write {wishes.log}: {error.strerror}"
        raise SMDDPArgumentError(msg) from error
    # Standard output stays what mpirun has made it (a terminal, say), unless something is to happen with it.
    streams = (1, 2) if wishes.tags or log is not None else (2,)
    outlets = [Outlet(stream, LineTagger(b"[%d] " % rank) if wishes.tags else None, log) for stream in streams]
    _Watched(rank, become_program, outlets, tells=wishes.tells).run()


class _Watched:
    """One program, and the pipes through which it prints."""

    def __init__(
        self, rank: int, become_program: Callable[[], object], outlets: Sequence[Outlet], *, tells: bool
    ) -> None:
        self._rank = rank
        self._become_program = become_program
        self._outlets = outlets
        self._tells = tells
        self._pipes: dict[int, Outlet] = {}  # by the read end
        self._pid = 0
        self._shares_group = "OMPI_COMM_WORLD_RANK" in os.environ and os.getpgrp() == os.getpid()
        self._is_ending = False
        self._parent = os.getppid()
        self._killed_before = _kills_for_memory()

    def run(self) -> NoReturn:
        self._start()
        self._tell(Started(self._rank, self._pid, os.uname().nodename))
        status = self._wait()
        self._drain()
        if self._is_ending and not self._shares_group:
            self._signal(signal.SIGKILL)  # what the program has left behind
        cause = find_cause(self._outlets[-1].tail.decode("utf-8", "replace")) if status > 0 else ""
        out_of_memory = status == -signal.SIGKILL and _kills_for_memory() > self._killed_before
        self._tell(Ended(self._rank, status, out_of_memory, cause))
        end_as(status)

    def _start(self) -> None:
        ends = {outlet: os.pipe() for outlet in self._outlets}
        wake, wakes = os.pipe()
        os.set_blocking(wakes, False)
        watcher = os.getpid()
        # Handled before the fork, so that no signal is lost; the child takes them back.
        old = {number: signal.signal(number, self._pass_on) for number in _PASSED_ON}
        old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._pid = os.fork()
        if self._pid == 0:
            self._become(ends, old, watcher)
        if not self._shares_group:
            with contextlib.suppress(OSError):
                os.setpgid(self._pid, self._pid)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._wake = wake
        for outlet, (read, write) in ends.items():
            os.close(write)
            self._pipes[read] = outlet

    def _become(self, ends: dict[Outlet, tuple[int, int]], handlers: dict[signal.Signals, Any], watcher: int) -> None:
        try:
            if not self._shares_group:
                os.setpgid(0, 0)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            die_with_parent(signal.SIGKILL)
            if os.getppid() != watcher:
                os._exit(1)
            for outlet, (_, write) in ends.items():
                os.dup2(write, outlet.stream)
                if outlet.stream == 1:
                    # Python keeps output back where it is no terminal; a killed rank would never print its last lines.
                    os.environ.setdefault("PYTHONUNBUFFERED", "1")
            self._become_program()
        finally:
            sys.stderr.flush()
            os._exit(2)

    def _pass_on(self, number: int, _: object) -> None:
        if self._pid == 0:
            os._exit(128 + number)  # there is no program yet
        self._is_ending = self._is_ending or number not in (signal.SIGUSR1, signal.SIGUSR2)
        if not self._shares_group:
            self._signal(number)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(0 if self._shares_group else self._pid, number)

    def _wait(self) -> int:
        """Print what comes until the program is over; returns its status as in `Ended`."""
        poller = select.poll()
        for descriptor in (*self._pipes, self._wake):
            poller.register(descriptor, select.POLLIN)
        kill_at = float("inf")
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            for descriptor, _ in poller.poll(_LOOK_SECONDS * 1000):
                if descriptor == self._wake:
                    os.read(descriptor, 512)
                elif not self._copy(descriptor):
                    poller.unregister(descriptor)
            if os.getppid() != self._parent and kill_at == float("inf"):
                self._is_ending = True
                self._signal(signal.SIGTERM)
                kill_at = time.monotonic() + _FAREWELL_SECONDS
            if time.monotonic() > kill_at:
                self._signal(signal.SIGKILL)

    def _drain(self) -> None:
        # Not up to the end of the stream: processes that the program has left may hold it open for ever.
        for descriptor in self._pipes:
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                while self._copy(descriptor):
                    pass
            self._pipes[descriptor].end()

    def _copy(self, descriptor: int) -> bool:
        piece = os.read(descriptor, 65536)
        self._pipes[descriptor].write(piece)
        return bool(piece)

    def _tell(self, record: Record) -> None:
        if self._tells:
            write_all(2, encode(record))


def _kills_for_memory() -> int:
    """How many processes of this control group the kernel has killed for memory; 0 where it does not say."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:  # noqa: PTH123 (start-up)
            group = next(line.rstrip("\n")[3:] for line in file if line.startswith("0::"))
        with open(f"/sys/fs/cgroup{group}/memory.events", encoding="ascii") as file:  # noqa: PTH123 (start-up)
            return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, StopIteration, ValueError):
        return 0

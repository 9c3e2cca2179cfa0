"""A world of ranks on this machine: started together, watched, interrupted, and gone when the test is over.

::

    with World(4, "integration.faults.cases.training:train", starter=template) as world:
        world.wait_for("step 3")
        world.signal(2, signal.SIGKILL)
        for rank in world.join():
            ...
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from smddp.launch.machine import free_port

from support.processes import FreshInterpreters, RankTask, Running, Starter, session_members

__all__ = ["Ended", "World", "place_ranks"]

#: How long processes that belong to an ended rank may take to notice: DataLoader workers look every 5 s.
LEFTOVER_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A rank that has ended. Times are of `time.monotonic`."""

    rank: int
    returncode: int
    ended: float
    stdout: str
    stderr: str
    last_output: float

    @property
    def last_line(self) -> str:
        """Last line of standard error that is not empty, or ''."""
        return next((line for line in reversed(self.stderr.splitlines()) if line.strip()), "")


class _Stream:
    """Collects what one pipe delivers."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        reading, self.writing = os.pipe()
        self._pipe = os.fdopen(reading, errors="replace")
        self._lines: list[str] = []
        self.last_output = 0.0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        with self._changed:
            return "".join(self._lines)

    def has(self, marker: str) -> bool:
        """Whether a line starts with the marker; the caller holds the condition."""
        return any(line.startswith(marker) for line in self._lines)

    def join(self, until: float) -> None:
        """Wait for the end of the stream: nobody has the other side open any more."""
        self._thread.join(max(until - time.monotonic(), 0))

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                with self._changed:
                    self._lines.append(line)
                    self.last_output = time.monotonic()
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


@dataclass(slots=True)
class _Rank:
    process: Running
    out: _Stream
    err: _Stream


class World:
    """`size` ranks, all calling the same function.

    Args:
        size: number of ranks.
        case: "module:function" below `tests/`; called with `arguments`.
        arguments: text arguments of the function.
        starter: how processes come to be; default: fresh interpreters.
        hosts: ranks of each simulated host, in rank order; default: one host.
        env: variables for all ranks.
        rank_env: variables for single ranks.
        absent: ranks that are not started.
        seconds: deadline for everything; what still runs then is killed and the test fails.
    """

    def __init__(
        self,
        size: int,
        case: str,
        *arguments: str,
        starter: Starter | None = None,
        hosts: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        rank_env: Mapping[int, Mapping[str, str]] | None = None,
        absent: Iterable[int] = (),
        seconds: float = 50.0,
    ) -> None:
        self.size = size
        self.case = case
        self._arguments = arguments
        self._starter = starter or FreshInterpreters()
        self._folder = Path(tempfile.mkdtemp(prefix="world-"))
        self._env = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(self._folder), **(env or {})}
        self._rank_env = [
            {**place, **(rank_env or {}).get(rank, {})} for rank, place in enumerate(place_ranks(size, hosts))
        ]
        self._present = [rank for rank in range(size) if rank not in set(absent)]
        self._until = time.monotonic() + seconds
        self._changed = threading.Condition()
        self._ranks: dict[int, _Rank] = {}

    def __enter__(self) -> World:
        try:
            for rank in self._present:
                self._start(rank)
        except BaseException:
            self._kill_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill_all()
        shutil.rmtree(self._folder, ignore_errors=True)
        if isinstance(problem, AssertionError):
            problem.add_note(self.report())

    def wait_for(self, marker: str, ranks: Iterable[int] | None = None) -> None:
        """Wait until each of the ranks (default: all) has printed a line that starts with `marker`."""
        waiting = set(self._ranks if ranks is None else ranks)
        with self._changed:
            if not self._changed.wait_for(lambda: self._all_printed(waiting, marker), self._left()):
                late = [rank for rank in sorted(waiting) if not self._ranks[rank].out.has(marker)]
                raise AssertionError(f"no {marker!r} from ranks {late}")

    def pid(self, rank: int) -> int:
        """Process id of a rank."""
        return self._ranks[rank].process.pid

    def signal(self, rank: int, number: signal.Signals) -> float:
        """Send a signal to one rank, not to its children; returns the time."""
        os.kill(self.pid(rank), number)
        return time.monotonic()

    def join(self, ranks: Iterable[int] | None = None) -> list[Ended]:
        """Wait until the ranks (default: all) have ended; AssertionError if one still runs at the deadline."""
        return [self._join(rank) for rank in (self._ranks if ranks is None else ranks)]

    def processes_left(self) -> dict[int, str]:
        """What still runs of ended ranks, children included, after some patience; names by pid."""
        sessions = {rank.process.pid for rank in self._ranks.values()}
        until = time.monotonic() + LEFTOVER_SECONDS
        while (left := session_members(sessions)) and time.monotonic() < until:
            time.sleep(0.05)
        return left

    def files_left(self) -> list[str]:
        """Files and sockets that ended ranks left where temporary files and shared memory live.

        Folders `pymp-*` do not count: they are Python's, which leaves them behind in every program that ends
        while DataLoader workers run.
        """
        pids = {str(rank.process.pid) for rank in self._ranks.values()}
        shared = [path for path in Path("/dev/shm").glob("*") if pids & set(path.name.split("_"))]
        temporary = [
            path for path in self._folder.rglob("*") if not path.is_dir() and not path.parent.name.startswith("pymp-")
        ]
        return sorted(str(path) for path in [*shared, *temporary])

    def report(self) -> str:
        """What all ranks printed, for people."""
        lines = []
        for number, rank in self._ranks.items():
            ended = rank.process.wait(0)
            state = "still running" if ended is None else f"exit code {ended[0]} at {ended[1]:.3f}"
            lines.append(f"--- rank {number}: {state}")
            lines += [rank.out.text, rank.err.text]
        return "\n".join(lines)

    def _start(self, rank: int) -> None:
        out, err = _Stream(self._changed), _Stream(self._changed)
        try:
            env = {**self._env, **self._rank_env[rank]}
            task = RankTask(case=self.case, arguments=self._arguments, env=env, output=out.writing, error=err.writing)
            self._ranks[rank] = _Rank(self._starter.start(task), out, err)
        finally:
            os.close(out.writing)
            os.close(err.writing)

    def _all_printed(self, ranks: set[int], marker: str) -> bool:
        for rank in ranks:
            if not self._ranks[rank].out.has(marker) and self._ranks[rank].process.wait(0) is not None:
                raise AssertionError(f"rank {rank} ended before it printed {marker!r}")
        return all(self._ranks[rank].out.has(marker) for rank in ranks)

    def _join(self, number: int) -> Ended:
        rank = self._ranks[number]
        ended = rank.process.wait(self._until)
        assert ended is not None, f"rank {number} still runs at the deadline"
        for stream in (rank.out, rank.err):
            stream.join(time.monotonic() + LEFTOVER_SECONDS)
        return Ended(
            rank=number,
            returncode=ended[0],
            ended=ended[1],
            stdout=rank.out.text,
            stderr=rank.err.text,
            last_output=rank.err.last_output,
        )

    def _kill_all(self) -> None:
        sessions = {rank.process.pid for rank in self._ranks.values()}
        for pid in session_members(sessions):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for rank in self._ranks.values():
            rank.process.wait(time.monotonic() + LEFTOVER_SECONDS)
            rank.out.join(time.monotonic() + LEFTOVER_SECONDS)
            rank.err.join(time.monotonic() + LEFTOVER_SECONDS)

    def _left(self) -> float:
        return max(self._until - time.monotonic(), 0)


def place_ranks(size: int, hosts: Sequence[int] = ()) -> list[dict[str, str]]:
    """Variables as torchrun sets them, by rank; `hosts` makes several hosts of this machine."""
    counts = list(hosts) or [size]
    assert sum(counts) == size, f"{counts} ranks on hosts are not {size}"
    port = str(free_port())
    environments = []
    for host, count in enumerate(counts):
        for local in range(count):
            place = {
                "RANK": str(len(environments)),
                "WORLD_SIZE": str(size),
                "LOCAL_RANK": str(local),
                "LOCAL_WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
            environments.append(place | ({"SMDDP_HOST_ID": f"host-{host}"} if hosts else {}))
    return environments

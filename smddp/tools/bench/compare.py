"""smddp beside other libraries on this machine, size by size in turns, so that a busy machine hits them alike."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smddp.errors import SMDDPArgumentError, SMDDPSystemError
from smddp.launch.machine import free_port
from smddp.tools.bench.options import Options, buffers_for, iterations_for
from smddp.tools.bench.processes import ending, rank_environment

__all__ = ["ROUNDS", "Comparison", "Figures", "Peer", "check_peers", "compare", "medians"]

ROUNDS = 5
_POLL_S = 0.2
_JOIN_S = 120
_KEY_S = 5
_ANSWER_S = 300
_GRACE_S = 10
#: How each MPI's mpirun tells its version.
_MPI_VERSIONS = {
    "Open MPI": r"\(Open MPI\) ([\w.]+)",
    "Intel MPI": r"Intel\(R\) MPI.* Version ([\w.]+)",
    "MPICH": r"HYDRA[^$]*Version: +([\w.]+)",
}
_OWN, _OWN_TORCH = "smddp", "smddp, torch"
_PROGRAM = Path(__file__).with_name("peer.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A library to compare with: what tables call it, what peer.py does, and an MPI's folder of programs."""

    title: str
    library: str
    folder: Path | None = None

    def commands(self, ranks: int) -> list[list[str]]:
        """The processes to start: one for each rank, or one mpirun."""
        program = [str(_PROGRAM), self.library]
        if self.folder is None:
            return [[sys.executable, *program]] * ranks
        mpirun = [str(self.folder / "mpirun"), "-n", str(ranks)]
        if "Open MPI" in _version(self.folder):
            mpirun += ["--oversubscribe", "--bind-to", "none"]
            mpirun += ["--allow-run-as-root"] if os.geteuid() == 0 else []
        return [[*mpirun, str(self.folder / "python"), *program]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One library at one size, medians over the rounds, seconds; always of the slowest rank."""

    p50_s: float
    p99_s: float
    time_s: float
    processor_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One collective at one size: figures by title, our own first; None where a library cannot do it."""

    collective: str
    size: int
    figures: dict[str, Figures | None]

    def ratio(self) -> float | None:
        """Our p50 divided by that of another library, the worst of these ratios.

        gloo, which is reached through torch.distributed, is held against ourselves there when that was measured.
        """
        p50 = {title: found.p50_s for title, found in self.figures.items() if found is not None}
        own = {"gloo": p50.get(_OWN_TORCH, p50.get(_OWN))}
        ratios = [
            ours / seconds
            for title, seconds in p50.items()
            if title not in (_OWN, _OWN_TORCH) and (ours := own.get(title, p50.get(_OWN))) is not None
        ]
        return max(ratios, default=None)


def _peer_of(word: str) -> Peer:
    if word == "gloo":
        return Peer(title="gloo", library="torch:gloo")
    if word == "torch":
        return Peer(title=_OWN_TORCH, library="torch:smddp")
    return Peer(title=_title(Path(word)), library="mpi", folder=Path(word).absolute())


def check_peers(words: Sequence[str]) -> list[Peer]:
    """All peers that ``--compare`` names.

    Raises:
        SMDDPArgumentError: one that is not there.
    """
    for word in words:
        folder = Path(word)
        if word not in ("gloo", "torch") and not all((folder / name).exists() for name in ("mpirun", "python")):
            msg = f"--compare {word}: neither gloo nor torch, nor a folder with mpirun and a python that has mpi4py"
            raise SMDDPArgumentError(msg)
    peers = [_peer_of(word) for word in words]
    titles = [peer.title for peer in peers]
    if len(set(titles)) < len(titles):
        msg = f"--compare: {', '.join(titles)}: each can be named once"
        raise SMDDPArgumentError(msg)
    return peers


def _title(folder: Path) -> str:
    text = _version(folder)
    for name, pattern in _MPI_VERSIONS.items():
        if found := re.search(pattern, text):
            return f"{name} {found[1]}"
    return str(folder)


def _version(folder: Path) -> str:
    command = [str(folder / "mpirun"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=_environment(folder))
    return answer.stdout


def _environment(folder: Path | None) -> dict[str, str]:
    # Some MPIs look for their own programs on the path.
    return {**os.environ, "PATH": f"{folder}:{os.environ.get('PATH', '')}"} if folder else dict(os.environ)


def compare(options: Options, peers: Sequence[Peer], ranks: int) -> Generator[Comparison]:
    """Measure; yields one comparison for each collective and size.

    Raises:
        SMDDPSystemError: a library's ranks did not start, or died.
    """
    own = Peer(title=_OWN, library="smddp")
    with ExitStack() as stack:
        running = {peer.title: stack.enter_context(_started(peer, ranks)) for peer in (own, *peers)}
        for collective in options.collectives:
            for size in options.sizes:
                task = _task(options, collective, size)
                able = {title: group for title, group in running.items() if group.ask(task) is not None}
                rounds = [{title: group.ask(task) for title, group in able.items()} for _ in range(ROUNDS)]
                figures = {title: _medians([found.get(title) for found in rounds]) for title in running}
                yield Comparison(collective, size, figures)


def _task(options: Options, collective: str, size: int) -> dict[str, Any]:
    return {
        "collective": collective,
        "size": size,
        "dtype": options.dtype,
        "op": options.op,
        "iterations": iterations_for(options, size),
        "warmup": options.warmup,
        "buffers": buffers_for(size),
        "registered": options.registered,
    }


def _medians(rounds: Sequence[Figures | None]) -> Figures | None:
    figures = [found for found in rounds if found is not None]
    return medians(figures) if figures else None


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds, at least one."""
    columns = zip(*(astuple(found) for found in rounds), strict=True)
    return Figures(*(statistics.median(column) for column in columns))


class _Rank:
    """The line to one rank of a library."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rw", encoding="utf-8")

    def tell(self, task: dict[str, Any]) -> None:
        self._lines.write(json.dumps(task) + "\n")
        self._lines.flush()

    def hear(self, patience: float) -> dict[str, Any]:
        """The next answer; empty when the rank has died or takes longer than so many seconds."""
        try:
            self._connection.settimeout(patience)
            answer: dict[str, Any] = json.loads(self._lines.readline() or "{}")
        except (OSError, ValueError):
            return {}
        return answer

    def hang_up(self) -> None:
        with suppress(OSError):
            self._lines.close()
        self._connection.close()


class _Group:
    """The ranks of one library, which wait for tasks."""

    def __init__(self, title: str, ranks: Sequence[_Rank]) -> None:
        self._title = title
        self._ranks = ranks

    def ask(self, task: dict[str, Any]) -> Figures | None:
        """Let all ranks measure; None when the library cannot do this."""
        with suppress(OSError):  # a rank that is gone gives no answer
            for rank in self._ranks:
                rank.tell(task)
        # Ten megabytes a second is slower than any library that works.
        patience = _ANSWER_S + 2 * task["iterations"] * task["size"] / 1e7
        answers = [rank.hear(patience) for rank in self._ranks]
        if not all(answers):
            msg = f"{self._title}: a rank died, or gave no answer within {patience:.0f} s"
            raise SMDDPSystemError(msg)
        if problem := next((answer["problem"] for answer in answers if "problem" in answer), None):
            told = f"{self._title} cannot do {task['collective']} of {task['size']} bytes: {problem}"
            if self._title == _OWN:
                raise SMDDPSystemError(told)
            sys.stderr.write(f"smddp bench: {told}\n")
            return None
        calls = np.max([answer["calls"] for answer in answers], axis=0)
        return Figures(
            p50_s=float(np.percentile(calls, 50)),
            p99_s=float(np.percentile(calls, 99)),
            time_s=max(answer["loop"] for answer in answers),
            processor_s=sum(answer["processor"] for answer in answers),
        )


@contextmanager
def _started(peer: Peer, ranks: int) -> Iterator[_Group]:
    """The ranks of a library; they end with the block."""
    key = secrets.token_hex(32)
    lines: list[_Rank] = []
    with ending(_GRACE_S) as processes, socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_POLL_S)
        try:
            _launch(peer, ranks, server.getsockname(), key, processes)
            deadline = time.monotonic() + _JOIN_S
            while len(lines) < ranks:
                _accept(server, key, lines)
                _check_start(peer, ranks - len(lines), processes, deadline)
            yield _Group(peer.title, lines)
        finally:
            for rank in lines:
                rank.hang_up()


def _check_start(peer: Peer, missing: int, processes: Sequence[subprocess.Popen[bytes]], deadline: float) -> None:
    ended = any(process.poll() is not None for process in processes)
    if missing > 0 and (ended or time.monotonic() > deadline):
        msg = f"{peer.title}: {missing} ranks did not start"
        raise SMDDPSystemError(msg)


def _launch(
    peer: Peer, ranks: int, address: tuple[str, int], key: str, processes: list[subprocess.Popen[bytes]]
) -> None:
    """Start the library's processes; each is on the list as soon as it runs."""
    port = free_port()
    for rank, command in enumerate(peer.commands(ranks)):
        place = {} if peer.folder else rank_environment(rank, ranks, port)
        env = {**_environment(peer.folder), "BENCH_KEY": key, "OMP_NUM_THREADS": "1", **place}
        words = [*command, address[0], str(address[1])]
        processes.append(subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL))


def _accept(server: socket.socket, key: str, lines: list[_Rank]) -> None:
    """Take in the next rank, if one comes within a moment."""
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return
    rank = _Rank(connection)
    if secrets.compare_digest(str(rank.hear(_KEY_S).get("key")), key):
        lines.append(rank)
    else:
        rank.hang_up()

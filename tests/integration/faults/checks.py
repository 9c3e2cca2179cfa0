"""What fault tests check again and again."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from support.world import Ended, World

__all__ = ["LINKS", "Link", "assert_nothing_left", "assert_raised", "last_joined", "select"]


class Link(NamedTuple):
    """How the four ranks of a world reach each other: ranks of each simulated host, and variables for all."""

    hosts: tuple[int, ...] = ()
    env: dict[str, str] = {}  # noqa: RUF012 (never changed)


LINKS = {
    "shm": Link(),
    "2+2": Link(hosts=(2, 2)),
    "3+1": Link(hosts=(3, 1)),
    "tcp": Link(env={"SMDDP_TRANSPORT": "tcp"}),
}


def select(cases: Iterable[tuple[Any, ...]], usual: Callable[[Any], bool], other: str = "slow") -> list[Any]:
    """Parameter sets; those that are not usual have the mark `other`."""
    return [pytest.param(*case, marks=() if usual(case) else getattr(pytest.mark, other)) for case in cases]


ERROR_SECONDS = 5.0
EXIT_SECONDS = 10.0


def assert_raised(rank: Ended, kind: str, *, torch: bool, since: float | None = None) -> str:
    """The rank raised an SMDDPError of this kind, uncaught, in time, and exited; returns the message."""
    raised = re.search(r"^raised (.*) at (\S+)$", rank.stdout, re.MULTILINE)
    assert raised, f"rank {rank.rank} raised nothing"
    classes = raised[1].split()
    assert classes[0] == kind, f"rank {rank.rank} raised {raised[1]}"
    assert "SMDDPError" in classes
    assert ("DistBackendError" in classes) == torch, classes
    start = f"{kind}: rank {rank.rank} ({socket.gethostname()}): "
    last_line = rank.last_line.removeprefix(f"[rank{rank.rank}]: ")  # what torch puts before each line
    assert last_line.startswith(start), f"rank {rank.rank}'s last line is {last_line!r}, not {start!r}..."
    assert rank.returncode == 1
    if since is not None:
        assert float(raised[2]) - since < ERROR_SECONDS, f"rank {rank.rank} raised too late"
        assert rank.ended - since < EXIT_SECONDS, f"rank {rank.rank} exited too late"
    return last_line.removeprefix(start)


def last_joined(ranks: list[Ended]) -> float:
    """When the last rank that joined the world did so."""
    times = [re.search(r"^joined at (\S+)$", rank.stdout, re.MULTILINE) for rank in ranks]
    return max(float(found[1]) for found in times if found)


def assert_nothing_left(world: World) -> None:
    """Ended ranks left no process and no file."""
    processes = world.processes_left()
    assert not processes, f"still running: {processes}"
    files = world.files_left()
    assert not files, f"left behind: {files}"

"""What one rank does with a list of calls: make them, one by one or many at once, and check what comes out."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.cases import Play, Values, buffers_of, submit

from smddp import _core

__all__ = ["IN_FLIGHT", "run_many_at_once", "run_one_by_one"]

#: Calls that a rank has under way at once.
IN_FLIGHT = 40


def run_one_by_one(communicator: _core.Communicator, plays: Sequence[Play], values: Values) -> None:
    """Each call when the one before it is over."""
    rank = communicator.rank
    for play in plays:
        buffers = buffers_of(play.case, values, rank)
        work = submit(communicator, play.case, buffers)
        assert work.wait()
        assert work.is_completed()
        play.check(buffers, rank)


def run_many_at_once(communicator: _core.Communicator, plays: Sequence[Play], values: Values) -> None:
    """IN_FLIGHT calls at a time, waited for in the opposite order."""
    rank = communicator.rank
    for first in range(0, len(plays), IN_FLIGHT):
        started = []
        for play in plays[first : first + IN_FLIGHT]:
            buffers = buffers_of(play.case, values, rank)
            started.append((play, buffers, submit(communicator, play.case, buffers)))
        for play, buffers, work in reversed(started):
            assert work.wait()
            play.check(buffers, rank)

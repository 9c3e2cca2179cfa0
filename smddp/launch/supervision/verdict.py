"""What became of a job: its exit code, and the one line about a failed one. Pure."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field

from smddp.launch.supervision.records import Ended, Record, Started

__all__ = ["Job", "exit_code", "summarize"]

EXIT_TIMEOUT = 124
"""Exit code of a job that ran out of time, as timeout(1) has it."""

#: Ranks that say this have lost another one, and are not where it began.
_VICTIMS = re.compile(r"\bSMDDP(?:PeerLost|Aborted)Error\b")
#: The same in a rank's standard error; it begins with who says it.
_VICTIMS_LINE = re.compile(r"\bSMDDP(?:PeerLost|Aborted)Error: rank (\d+) .*")
#: So much of the standard error of all ranks is kept.
_TAIL_CHARACTERS = 16384


@dataclass(slots=True)
class Job:
    """What is known of a job.

    Args:
        size: number of ranks.
        started: by rank.
        failures: in the order in which the launcher heard of them, until it began to end the job.
        ended_by: "the timeout of 60 s", "SIGINT" and the like, if smddprun has ended it.
        ended_code: the exit code that this means.
        mpirun_status: exit code of mpirun, or the negative number of its signal.
        tail: what the ranks have printed last on standard error.
    """

    size: int
    started: dict[int, Started] = field(default_factory=dict)
    failures: list[Ended] = field(default_factory=list)
    ended_by: str = ""
    ended_code: int = 0
    mpirun_status: int = 0
    tail: str = ""

    def add(self, record: Record) -> None:
        """Take note of what a rank has told."""
        if isinstance(record, Started):
            self.started[record.rank] = record
        elif record.status != 0 and not self.ended_by:
            self.failures.append(record)

    def hear(self, text: str) -> None:
        """Take note of what ranks have printed on standard error."""
        self.tail = (self.tail + text)[-_TAIL_CHARACTERS:]


def exit_code(job: Job) -> int:
    """The program's, of the rank where it began; 128 + N for signal N; 124 when time was up."""
    if job.ended_by:
        return job.ended_code
    if job.failures:
        return _as_code(_first(job).status)
    return _as_code(job.mpirun_status)


def summarize(job: Job, seconds: float) -> str:
    """One line, without the name of the command; "" for a job that went well.

    Args:
        job: what became of it.
        seconds: since its start.
    """
    took = f"after {_duration(seconds)}"
    if job.ended_by:
        return f"job ended {took} by {job.ended_by}{_not_started(job)}"
    if job.failures:
        return f"job failed {took}: {_tell(job, _first(job))}"
    if job.mpirun_status == 0:
        return ""
    return f"job failed {took}: mpirun {_ending(job.mpirun_status)}{_not_started(job)}; its message is above"


def _first(job: Job) -> Ended:
    return next((one for one in job.failures if not _VICTIMS.search(one.cause)), job.failures[0])


def _tell(job: Job, first: Ended) -> str:
    place = job.started.get(first.rank)
    where = f" ({place.host}, pid {place.pid})" if place else ""
    text = f"rank {first.rank}{where} {_ending(first.status)}"
    if first.out_of_memory:
        text += ", out of memory"
    if first.cause:
        return f"{text}: {first.cause}"
    # A killed program says nothing; the others name the operation, if mpirun lets them live long enough.
    victim = next((one for one in job.failures if _VICTIMS.search(one.cause)), None)
    if victim:
        return f"{text}; rank {victim.rank} saw: {victim.cause}"
    said = _VICTIMS_LINE.search(job.tail)
    return f"{text}; rank {said[1]} saw: {said[0]}" if said else text


def _ending(status: int) -> str:
    if status >= 0:
        return f"exited with code {status}"
    return f"was killed by {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _not_started(job: Job) -> str:
    missing = [rank for rank in range(job.size) if rank not in job.started]
    if not missing:
        return ""
    if len(missing) == job.size:
        return " before any rank had started"
    shown = ", ".join(map(str, missing[:8])) + (" ..." if len(missing) > 8 else "")
    return f" before rank{'s' if len(missing) > 1 else ''} {shown} had started"


def _as_code(status: int) -> int:
    return status if status >= 0 else 128 - status


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02} min"

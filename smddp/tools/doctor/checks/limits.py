"""The process's limits leave room for a job."""

from __future__ import annotations

from collections.abc import Iterator

from smddp.tools.doctor.checks.subject import Subject, error, size_text, warning
from smddp.tools.doctor.facts import HostFacts
from smddp.tools.doctor.finding import Finding

__all__ = ["check_limits", "descriptors_needed"]

#: Python, a framework and its data loader have so many open before a job begins.
_OWN_DESCRIPTORS = 160
#: Of a rank of the same host: bell, memory and process; of another host: a connection per group.
_PER_LOCAL_RANK = 3
_PER_REMOTE_RANK = 2
#: The engine's threads, a framework's pools and data loaders, for each rank.
_TASKS_PER_RANK = 64
_TASKS_AT_LEAST = 256


def check_limits(subject: Subject) -> Iterator[Finding]:
    """As ulimit and the control group set them."""
    for name, host in subject.each():
        yield from _open_files(subject, name, host)
        yield from _tasks(subject, name, host)
        limits = host.limits
        needs_locking = bool(host.fabric.efa or host.fabric.infiniband)
        if needs_locking and limits.locked_memory is not None and limits.locked_memory < host.system.memory // 2:
            problem = f"the limit of locked memory is {size_text(limits.locked_memory)}, and RDMA locks its buffers"
            advice = "ulimit -l unlimited (in a container: --ulimit memlock=-1)"
            yield error("locked-memory", problem, advice, name)
        for label, option, limit in (
            ("address space", "-v", limits.address_space),
            ("the size of files", "-f", limits.file_size),
        ):
            if limit is not None:
                problem = f"{label} is limited to {size_text(limit)}: ranks get no registered memory, and copy instead"
                yield warning("registered-memory", problem, f"ulimit {option} unlimited", name)


def descriptors_needed(local_ranks: int, all_ranks: int) -> int:
    """How many files a rank has open, with one group of all ranks."""
    return _OWN_DESCRIPTORS + _PER_LOCAL_RANK * local_ranks + _PER_REMOTE_RANK * (all_ranks - local_ranks)


def _open_files(subject: Subject, name: str, host: HostFacts) -> Iterator[Finding]:
    limit, hard = host.limits.open_files, host.limits.open_files_hard
    if limit is None:
        return
    local = subject.ranks.get(host.rank, 1)
    needed = descriptors_needed(local, max(sum(subject.ranks.values()), local))
    raised = "ulimit -n 65536" if hard is None or hard >= 65536 else f"ulimit -n {hard}, or more in limits.conf"
    problem = f"the limit of open files is {limit}"
    if limit < needed:
        yield error("open-files", f"{problem}, and a rank of this job needs about {needed}", raised, name)
    elif limit < 1024:
        yield warning("open-files", f"{problem}: data loaders may run out of them", raised, name)


def _tasks(subject: Subject, name: str, host: HostFacts) -> Iterator[Finding]:
    needed = max(_TASKS_PER_RANK * subject.ranks.get(host.rank, 1), _TASKS_AT_LEAST)
    limits = host.limits
    advice = "raise it (ulimit -u; in a container: --pids-limit)"
    if limits.processes is not None and limits.processes < needed:
        problem = f"the limit of processes is {limits.processes}, and the ranks of this host may start {needed} threads"
        yield warning("processes", problem, advice, name)
    if limits.tasks is not None and limits.tasks - limits.tasks_used < needed:
        problem = (
            f"the control group allows {limits.tasks} processes and threads, {limits.tasks_used} exist, "
            f"and the ranks of this host may start {needed}"
        )
        yield warning("processes", problem, advice, name)

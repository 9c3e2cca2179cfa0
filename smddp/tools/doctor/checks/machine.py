"""Kernel, processors, memory and temporary files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smddp.tools.doctor.checks.subject import Subject, error, note, size_text, warning
from smddp.tools.doctor.facts import HostFacts, Store
from smddp.tools.doctor.finding import Finding

__all__ = ["check_cores", "check_kernel", "check_memory", "check_stores", "cores_of"]

_OLDEST_KERNEL = (5, 3)
_MIB = 1024**2
_GIB = 1024**3
_FULL = 64 * _MIB
#: Containers get 64 MiB unless told otherwise, and a data loader of PyTorch may put more there at once.
_SMALL_SHARED_MEMORY = _GIB
_STRICT_OVERCOMMIT = 2
#: More runnable processes than this share of the cores, before our job has begun.
_BUSY = 0.8


def check_kernel(subject: Subject) -> Iterator[Finding]:
    """The calls by which ranks of one host share memory and see each other die."""
    for name, host in subject.each():
        found = re.match(r"(\d+)\.(\d+)", host.system.kernel)
        if found and (int(found[1]), int(found[2])) < _OLDEST_KERNEL:
            problem = f"the kernel is Linux {host.system.kernel}, and smddp needs 5.3 or newer"
            yield error("kernel", problem, "use a newer kernel", name)
        for call, reason in host.system.calls.items():
            problem = f"{call} does not work here ({reason.lower()}), and smddp needs it"
            advice = "allow it in the container's seccomp or AppArmor profile"
            yield error("system-calls", problem, advice, name)


def check_stores(subject: Subject) -> Iterator[Finding]:
    """Shared memory and the folder of temporary files."""
    for name, host in subject.each():
        shared, temporary = host.system.shared_memory, host.system.temporary
        if shared.problem:
            problem = f"nothing can be written to {shared.path} ({shared.problem})"
            yield error("shared-memory", problem, f"mount a tmpfs at {shared.path}, writable for all", name)
        elif shared.size:
            yield from _shared_memory(name, shared)
        if temporary.problem:
            problem = f"nothing can be written to {temporary.path} ({temporary.problem}), and mpirun must"
            yield error("temporary-files", problem, "let TMPDIR name a folder that exists and is writable", name)
        elif temporary.size > 0 and temporary.free < _FULL:
            problem = f"{temporary.path} has {size_text(temporary.free)} left"
            yield warning("temporary-files", problem, "remove files there, or set TMPDIR", name)


def check_cores(subject: Subject) -> Iterator[Finding]:
    """As many cores as ranks, and nobody else on them."""
    for name, host in subject.each():
        system = host.system
        usable = cores_of(host)
        if system.cores_granted is not None and system.cores_granted < system.cores_usable:
            problem = (
                f"{system.cores_usable} cores are visible, and the control group grants the time of "
                f"{system.cores_granted:g}: libraries that count cores start too many threads"
            )
            advice = "set OMP_NUM_THREADS to the granted cores divided by the ranks, or bind the container to cores"
            yield warning("cores", problem, advice, name)
        elif 0 < system.cores_usable < system.cores_seen:
            problem = f"this process may run on {system.cores_usable} of {system.cores_seen} cores"
            yield note("cores", problem, "if that is not meant, look at taskset, cpusets and mpirun's binding", name)
        ranks = subject.ranks.get(host.rank, 0)
        if usable and ranks > usable:
            problem = f"{ranks} ranks are to share {usable:g} cores"
            yield warning("oversubscription", problem, "give this host fewer ranks (-H host:N)", name)
        if usable and system.load > _BUSY * usable + 1:
            problem = f"{system.load:.1f} processes are running on {usable:g} cores before the job begins"
            yield warning("busy", problem, "see who computes here (top), and wait or end it", name)


def check_memory(subject: Subject) -> Iterator[Finding]:
    """Memory is there, and can be shared."""
    for name, host in subject.each():
        system = host.system
        limit = system.memory_limit
        if limit is not None and 0 < limit < system.memory:
            problem = f"the control group allows {size_text(limit)} of {size_text(system.memory)} of memory"
            yield note("memory", problem, "shared memory of the ranks counts, too; raise it if ranks are killed", name)
        if 0 < system.memory_available < min(_GIB, system.memory // 10):
            problem = f"{size_text(system.memory_available)} of memory are available"
            yield warning("memory", problem, "see who uses it (ps aux --sort -rss)", name)
        if system.overcommit == _STRICT_OVERCOMMIT:
            problem = "vm.overcommit_memory is 2: forked data loaders may get no copy of registered memory"
            yield warning("overcommit", problem, "sysctl vm.overcommit_memory=0", name)


def cores_of(host: HostFacts) -> float:
    """How many cores' time this process can have."""
    granted = host.system.cores_granted
    return min(granted, host.system.cores_usable) if granted is not None else host.system.cores_usable


def _shared_memory(name: str, shared: Store) -> Iterator[Finding]:
    advice = f"mount -o remount,size=8G {shared.path} (in a container: --shm-size=8g)"
    if shared.kind not in ("tmpfs", "ramfs"):
        problem = f"{shared.path} is not memory" + (f" but {shared.kind}" if shared.kind else "")
        yield warning("shared-memory", problem, f"mount -t tmpfs tmpfs {shared.path}", name)
    elif shared.free < _FULL and shared.size >= _SMALL_SHARED_MEMORY:
        problem = f"{shared.path} is full: {size_text(shared.free)} of {size_text(shared.size)} are left"
        yield error("shared-memory", problem, f"remove what dead programs have left there (ls {shared.path})", name)
    elif shared.size < _SMALL_SHARED_MEMORY:
        problem = f"{shared.path} has {size_text(shared.size)}: data loaders, NCCL and MPI need more, and die of it"
        yield warning("shared-memory", problem, advice, name)

"""Nothing of dead jobs is in the way."""

from __future__ import annotations

from collections.abc import Iterator

from smddp.tools.doctor.checks.subject import Subject, size_text, warning
from smddp.tools.doctor.finding import Finding

__all__ = ["check_leftovers"]

_SHOWN = 3


def check_leftovers(subject: Subject) -> Iterator[Finding]:
    """Files in shared memory, and ranks that nobody ends."""
    for name, host in subject.each():
        files, processes = host.leftovers.files, host.leftovers.processes
        if files:
            shown = ", ".join(list(files)[:_SHOWN]) + (" ..." if len(files) > _SHOWN else "")
            total = size_text(sum(files.values()))
            problem = f"dead programs have left {len(files)} files in /dev/shm, which hold {total}: {shown}"
            words = " ".join(f"/dev/shm/{file}" for file in list(files)[:_SHOWN])
            yield warning("leftover-files", problem, f"rm {words}{' ...' if len(files) > _SHOWN else ''}", name)
        for pid, command in processes.items():
            problem = f"process {pid} ({command}) is a rank of a job whose launcher is gone"
            yield warning("leftover-processes", problem, f"kill {pid}", name)

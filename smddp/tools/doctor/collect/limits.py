"""Limits of this process, as its children, the ranks, inherit them."""

from __future__ import annotations

import resource
from pathlib import Path

from smddp.tools.doctor.collect.groups import task_limit
from smddp.tools.doctor.facts import Limits

__all__ = ["collect_limits"]


def collect_limits(root: Path = Path("/")) -> Limits:
    """Return the limits of this process."""
    tasks, used = task_limit(root)
    return Limits(
        open_files=_soft(resource.RLIMIT_NOFILE),
        open_files_hard=_finite(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        processes=_soft(resource.RLIMIT_NPROC),
        locked_memory=_soft(resource.RLIMIT_MEMLOCK),
        address_space=_soft(resource.RLIMIT_AS),
        file_size=_soft(resource.RLIMIT_FSIZE),
        tasks=tasks,
        tasks_used=used,
    )


def _soft(which: int) -> int | None:
    return _finite(resource.getrlimit(which)[0])


def _finite(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit

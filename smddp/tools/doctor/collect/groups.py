"""Limits of the control groups that this process is in, by either version of the kernel's interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smddp.tools.doctor.collect.files import read_number, read_text

__all__ = ["cores_granted", "memory_limit", "task_limit"]

#: Version 1 writes a number near 2^63 where there is no limit.
_NO_LIMIT = 2**60


def cores_granted(root: Path = Path("/")) -> float | None:
    """Processors that the quota is worth; None without a quota."""
    found = []
    for folder in _folders(root, "cpu"):
        quota, period = read_number(folder / "cpu.cfs_quota_us"), read_number(folder / "cpu.cfs_period_us")
        words = read_text(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdecimal():
            quota, period = int(words[0]), int(words[1])
        if quota is not None and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes; None without a limit."""
    numbers = [
        read_number(folder / name)
        for folder in _folders(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    return min((number for number in numbers if number is not None and number < _NO_LIMIT), default=None)


def task_limit(root: Path = Path("/")) -> tuple[int | None, int]:
    """How many tasks (processes and threads) are allowed, and how many there are, where that is tightest."""
    found = []
    for folder in _folders(root, "pids"):
        limit = read_number(folder / "pids.max")
        if limit is not None:
            found.append((limit, read_number(folder / "pids.current") or 0))
    return min(found, key=lambda one: one[0] - one[1], default=(None, 0))


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The process's groups and all above them. In a container, what is above may be out of sight."""
    top = root / "sys/fs/cgroup"
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        base = top / controller if controllers else top
        folder = base / path.lstrip("/")
        while folder != base and base in folder.parents:
            yield folder
            folder = folder.parent
        yield base

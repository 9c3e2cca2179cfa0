"""What dead jobs have left on this host: files in shared memory that nobody uses, ranks without a launcher.

smddp itself leaves no files, its memory has no names; NCCL, PyTorch, Open MPI and PSM do, when they are killed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import time
from pathlib import Path

from smddp.tools.doctor.collect.processes import command_of, name_of, parent_of, process_folders
from smddp.tools.doctor.facts import Leftovers

__all__ = ["collect_leftovers"]

_PATTERNS = ("nccl-*", "torch_*", "vader_segment.*", "sm_segment.*", "psm2_shm.*", "mpich_shm_*", "*smddp*")
#: A job that is just starting may have made a file and not mapped it yet; one in another container is out of sight.
_MIN_AGE_SECONDS = 600.0
#: As process 1 of a container, these are parents of living jobs.
_LAUNCHERS = ("torchrun", "python", "mpirun", "orted", "prted", "hydra", "slurm", "srun", "smddprun", "train")
_OUR_MEMORY = "/memfd:smddp"


def collect_leftovers(root: Path = Path("/")) -> Leftovers:
    """Return what is certainly of no use to anybody, as far as this user can see."""
    folders = [folder for folder in process_folders(root) if _is_mine(folder)]
    first = name_of(root / "proc/1")
    orphans = [] if first.startswith(_LAUNCHERS) else [one for one in folders if parent_of(one) == 1]
    processes = {folder.name: command_of(folder) for folder in orphans if _has_our_memory(folder)}
    return Leftovers(files=_unused_files(root, folders), processes=processes)


def _unused_files(root: Path, folders: list[Path]) -> dict[str, int]:
    shared = root / "dev/shm"
    if not shared.is_dir():
        return {}
    now = time.time()
    found = {}
    for path in sorted(shared.iterdir()):
        with contextlib.suppress(OSError):
            status = path.lstat()
            old = now - max(status.st_mtime, status.st_atime) > _MIN_AGE_SECONDS
            mine = os.geteuid() in (0, status.st_uid)
            if old and mine and any(fnmatch.fnmatch(path.name, pattern) for pattern in _PATTERNS):
                found[path.name] = status.st_blocks * 512
    if not found:
        return {}
    used = _used_names(folders)
    return {name: size for name, size in found.items() if name not in used}


def _used_names(folders: list[Path]) -> set[str]:
    used = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            for line in (folder / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
                if "/dev/shm/" in line:
                    used.add(line.rpartition("/dev/shm/")[2].removesuffix(" (deleted)").split("/")[0])
        for target in _descriptors(folder):
            if "/dev/shm/" in target:
                used.add(target.rpartition("/dev/shm/")[2].split("/")[0])
    return used


def _has_our_memory(folder: Path) -> bool:
    return any(target.startswith(_OUR_MEMORY) for target in _descriptors(folder))


def _descriptors(folder: Path) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for entry in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(entry.readlink()))
    return found


def _is_mine(folder: Path) -> bool:
    try:
        return os.geteuid() in (0, folder.stat().st_uid)
    except OSError:
        return False

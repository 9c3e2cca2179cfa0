"""One rank: every case of a module, first with gloo, then with smddp, in the same processes; then both are compared."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from integration.torch.layers.compare import compare

import smddp.torch  # noqa: F401 - registers the backend

__all__ = ["Job", "alone", "both"]

DEADLINE = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a case may know: who it is, which backend serves the default group, and a folder that all ranks share."""

    rank: int
    size: int
    backend: str
    seed: int
    folder: Path


Case = Callable[[Job], object]


def both(module: str, seed: str) -> None:
    """Runs the cases of a module on both backends; what they return with smddp must be what they return with gloo."""

    def run(case: Case, name: str, place: _Place) -> None:
        results = []
        for backend in ("gloo", "smddp"):
            with _joined(place, backend, name) as job:
                results.append(case(job))
        compare(*results, exact=place.size == 2)

    _run_all(module, seed, run)


def alone(module: str, seed: str) -> None:
    """Runs the cases of a module on smddp only: those that check by themselves."""

    def run(case: Case, name: str, place: _Place) -> None:
        with _joined(place, "smddp", name) as job:
            case(job)

    _run_all(module, seed, run)


def _folder() -> Path:
    """The world's own folder; the tempfile module remembers the one of the process that forked this one."""
    return Path(os.environ["TMPDIR"])


class _Place:
    """This rank's place in the world, and the store by which each case makes groups of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        # Not a TCPStore: it looks up a name for each connection, and each group makes one.
        self.store = dist.FileStore(str(_folder() / "store"), self.size)
        self.store.set_timeout(DEADLINE)

    def meet(self, name: str) -> None:
        """Return when all ranks have come here."""
        if self.store.add(f"{name}/here", 1) == self.size:
            self.store.set(f"{name}/all", "")
        self.store.wait([f"{name}/all"])


def _run_all(module: str, seed: str, run: Callable[[Case, str, _Place], None]) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)  # names that newer torch has others for
    place = _Place(int(seed))
    cases = vars(importlib.import_module(f"integration.torch.layers.cases.{module}"))
    for name, case in list(cases.items()):
        if inspect.isfunction(case) and list(inspect.signature(case).parameters) == ["job"]:
            error = None
            try:
                run(case, name, place)
            except Exception:
                error = traceback.format_exc()
            print(json.dumps({"case": name, "error": error}), flush=True)


#: For as long as the process lives: gloo's group ends the process when its last reference is dropped in one of its own
#: threads, which happens to a hook's callback.
_gloo_groups: list[Any] = []


@contextmanager
def _joined(place: _Place, backend: str, name: str) -> Iterator[Job]:
    key = f"{name}/{backend}"
    dist.init_process_group(
        backend, store=dist.PrefixStore(key, place.store), rank=place.rank, world_size=place.size, timeout=DEADLINE
    )
    if backend == "gloo":
        _gloo_groups.append(dist.group.WORLD)
    try:
        folder = _folder() / key
        yield Job(rank=place.rank, size=place.size, backend=backend, seed=place.seed, folder=folder)
    finally:
        # A rank that leaves gloo early breaks the connections of those that still use it.
        place.meet(key)
        if dist.is_initialized():
            dist.destroy_process_group()

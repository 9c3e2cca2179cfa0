"""Worlds whose ranks are threads of this process, over every fabric."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import pytest
from conformance.cases import CHUNK_BYTES

from smddp import _core

from support.oracle import Placement, place

__all__ = ["FABRICS", "WORLD_SIZES", "Fabric", "World", "skip_without"]

WORLD_SIZES = (1, 2, 3, 4, 7, 8)
#: Each operation's. Ranks that wait for one that failed give up after it.
OPERATION_SECONDS = 20
WORLD_SECONDS = 40
#: What ranks may take to end after another one failed.
END_SECONDS = 10

Result = TypeVar("Result")
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Fabric:
    """One way for ranks to reach each other. A new transport joins the suite by one line in FABRICS."""

    name: str
    transport: str
    host: Callable[[int, int], str]  # of a rank in a world of a size
    algorithm: str = ""
    order: str = "canonical"
    partials: str = "native"

    def placement(self, world: int) -> Placement:
        """Which ranks share memory."""
        return place([self.host(rank, world) for rank in range(world)])


def _one_host(rank: int, world: int) -> str:
    return "A"


def _all_apart(rank: int, world: int) -> str:
    return str(rank)


def _two_hosts(rank: int, world: int) -> str:
    """Unequal: the first two thirds of the ranks, and the rest."""
    return "B" if 3 * rank >= 2 * world else "A"


def _round_robin(rank: int, world: int) -> str:
    return "ABC"[rank % 3]


FABRICS = {
    fabric.name: fabric
    for fabric in (
        Fabric("inproc", "inproc", _all_apart),
        Fabric("tcp", "tcp", _all_apart),
        Fabric("ofi", "ofi", _all_apart),
        Fabric("shm", "auto", _one_host),
        Fabric("two_hosts", "auto", _two_hosts),
        Fabric("round_robin", "auto", _round_robin),
    )
}


def skip_without(transport: str) -> None:
    """Skip a test that needs what this build leaves out."""
    if transport == "ofi" and "ofi" not in _core.transport_names():
        pytest.skip("this build has no transport ofi (apt-get install libfabric-dev, then make build)")


class World:
    """`size` communicators of one group, each used by a thread of its own."""

    def __init__(self, fabric: Fabric, size: int) -> None:
        skip_without(fabric.transport)
        self.fabric = fabric
        self.size = size
        self.placement = fabric.placement(size)
        self.failed = False
        self._name = f"world {next(_numbers)}"
        self._store = _core.open_job_store(_core.JobPlace())  # of one process: in memory
        self._threads = ThreadPoolExecutor(size)
        self._runtime = _core.Runtime.acquire(self._config(0))
        self.communicators = [self.communicator(rank, self._name) for rank in range(size)]

    def communicator(self, rank: int, name: str) -> _core.Communicator:
        """A communicator of the group with that name, over the same fabric."""
        return self._runtime.create_communicator(rank, self.size, name, self._store, self._config(rank))

    def _config(self, rank: int) -> _core.Config:
        config = _core.Config()
        config.transport = self.fabric.transport
        config.ofi_provider = "tcp"
        config.host_id = self.fabric.host(rank, self.size)
        config.algorithm = self.fabric.algorithm
        config.order = self.fabric.order
        config.partials = self.fabric.partials
        config.chunk_bytes = CHUNK_BYTES
        config.timeout = timedelta(seconds=OPERATION_SECONDS)
        return config

    def run(self, body: Callable[[_core.Communicator], Result]) -> list[Result]:
        """Runs `body(communicator)` as every rank at once; results by rank, or the first failure."""
        futures = [self._threads.submit(body, communicator) for communicator in self.communicators]
        wait(futures, timeout=WORLD_SECONDS, return_when=FIRST_EXCEPTION)
        self.failed = not all(future.done() and future.exception() is None for future in futures)
        # A rank that fails leaves; the others learn it from that, and do not have to wait for their deadline.
        if self.failed:
            self._leave(timedelta(0))
        wait(futures, timeout=END_SECONDS)
        return _results(futures)

    def close(self) -> None:
        """Leaves in order."""
        self._leave(timedelta(seconds=5))
        self._threads.shutdown(wait=not self.failed, cancel_futures=True)

    def _leave(self, grace: timedelta) -> None:
        # All at once: each waits for what the others still have to do.
        with ThreadPoolExecutor(self.size) as threads:
            list(threads.map(lambda communicator: communicator.leave(grace), self.communicators))


def _results(futures: list[Future[Result]]) -> list[Result]:
    assertions = [f.exception() for f in futures if f.done() and isinstance(f.exception(), AssertionError)]
    if assertions:  # what a test found says more than what the other ranks then met
        raise assertions[0]
    unfinished = [rank for rank, future in enumerate(futures) if not future.done()]
    assert not unfinished, f"ranks {unfinished} hang"
    return [future.result() for future in futures]

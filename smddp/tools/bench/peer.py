"""One rank of one library in ``smddp bench --compare``: does what it is told, one measurement after the other.

    peer.py LIBRARY HOST PORT         (the benchmark's key in BENCH_KEY)

The one who started it sends tasks, a JSON object on a line each, and gets one such line for each.

It runs in the Python of its library, which may have nothing but NumPy and that library: nothing of smddp is imported
unless the library is smddp. All libraries are timed by the same loops.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

Call = Callable[[], object]
#: The collectives whose source is their target.
IN_PLACE = ("all_reduce", "reduce", "broadcast")


class Library(Protocol):
    """What is needed of a library."""

    rank: int
    size: int
    registers: bool  #: whether registered memory means anything to it

    def barrier(self) -> object:
        """Wait for all ranks."""

    def call(self, collective: str, target: Any, source: Any, op: str) -> Call:
        """One collective bound to its buffers; `source` is `target` where it works in place.

        Raises:
            KeyError: the library has no such collective, operation or dtype.
        """


class Smddp:
    """Our own engine, on NumPy arrays."""

    registers = True

    def __init__(self, world: Any) -> None:
        self._world = world
        self.rank, self.size, self.barrier = world.rank, world.size, world.barrier

    def call(self, collective: str, target: Any, source: Any, op: str) -> Call:
        """See Library."""
        world = self._world
        calls: dict[str, Call] = {
            "all_reduce": lambda: world.all_reduce(target, op),
            "reduce": lambda: world.reduce(target, 0, op),
            "broadcast": lambda: world.broadcast(target),
            "all_gather": lambda: world.all_gather(target, source),
            "reduce_scatter": lambda: world.reduce_scatter(target, source, op),
            "all_to_all": lambda: world.all_to_all(target, source),
        }
        return calls[collective]


class Torch:
    """A backend of torch.distributed, on tensors that share the arrays' memory."""

    def __init__(self, backend: str) -> None:
        import torch
        import torch.distributed as dist

        torch.set_num_threads(1)
        if backend == "smddp":
            import smddp.torch  # noqa: F401 (registers the backend)
        dist.init_process_group(backend)
        self._torch, self.registers = torch, backend == "smddp"
        self.rank, self.size, self.barrier = dist.get_rank(), dist.get_world_size(), dist.barrier

    def call(self, collective: str, target: Any, source: Any, op: str) -> Call:
        """See Library."""
        return torch_call(collective, self._torch.from_numpy(target), self._torch.from_numpy(source), op)


def torch_call(collective: str, out: Any, into: Any, op: str, group: Any = None) -> Call:
    """One collective of torch.distributed bound to its tensors and its group (default: all ranks).

    Raises:
        KeyError: it has no such collective or operation.
    """
    import torch.distributed as dist

    names = {"sum": "SUM", "product": "PRODUCT", "min": "MIN", "max": "MAX", "and": "BAND", "or": "BOR", "xor": "BXOR"}
    reduce_op = getattr(dist.ReduceOp, {**names, "average": "AVG"}[op])
    calls: dict[str, Call] = {
        "all_reduce": lambda: dist.all_reduce(out, reduce_op, group),
        "reduce": lambda: dist.reduce(out, 0, reduce_op, group),
        "broadcast": lambda: dist.broadcast(out, 0, group),
        "all_gather": lambda: dist.all_gather_single(out, into, group),
        "reduce_scatter": lambda: dist.reduce_scatter_single(out, into, reduce_op, group),
        "all_to_all": lambda: dist.all_to_all_single(out, into, group=group),
    }
    return calls[collective]


class Mpi:
    """An MPI through mpi4py, on NumPy arrays."""

    registers = False

    def __init__(self) -> None:
        from mpi4py import MPI

        self._mpi, self._world = MPI, MPI.COMM_WORLD
        self.rank, self.size, self.barrier = self._world.rank, self._world.size, self._world.Barrier

    def call(self, collective: str, target: Any, source: Any, op: str) -> Call:
        """See Library."""
        mpi, world = self._mpi, self._world
        names = {"sum": "SUM", "product": "PROD", "min": "MIN", "max": "MAX", "and": "BAND", "or": "BOR", "xor": "BXOR"}
        mpi_op = getattr(mpi, names[op])
        calls: dict[str, Call] = {
            "all_reduce": lambda: world.Allreduce(mpi.IN_PLACE, target, mpi_op),
            "reduce": lambda: world.Reduce(mpi.IN_PLACE if self.rank == 0 else target, target, mpi_op, 0),
            "broadcast": lambda: world.Bcast(target, 0),
            "all_gather": lambda: world.Allgather(source, target),
            "reduce_scatter": lambda: world.Reduce_scatter_block(source, target, mpi_op),
            "all_to_all": lambda: world.Alltoall(source, target),
        }
        return calls[collective]


def make_library(name: str) -> Library:
    """The library of that name: smddp, torch:BACKEND or mpi."""
    if name == "smddp":
        import smddp

        return Smddp(smddp.init())
    return Mpi() if name == "mpi" else Torch(name.removeprefix("torch:"))


def make_ones(count: int, kind: Any, *, registered: bool) -> Any:
    """An array of ones in ordinary memory, or in smddp's registered memory."""
    if not registered:
        return np.ones(count, kind)
    import smddp

    array = smddp.empty_registered(count, kind)
    array.fill(1)
    return array


def make_buffers(collective: str, dtype: str, size: int, ranks: int, *, registered: bool = False) -> tuple[Any, Any]:
    """(target, source) of about `size` bytes, the larger of them; one array where the collective works in place."""
    kind = np.dtype(dtype)
    out, into = count_elements(collective, size // kind.itemsize, ranks)
    target = make_ones(out, kind, registered=registered)
    return target, target if collective in IN_PLACE else make_ones(into, kind, registered=registered)


def count_elements(collective: str, count: int, ranks: int) -> tuple[int, int]:
    """Elements of (target, source), the larger of which has about `count`; at least one for each rank."""
    if collective in IN_PLACE:
        return max(1, count), max(1, count)
    share = max(1, count // ranks)
    out = share if collective == "reduce_scatter" else share * ranks
    into = share if collective == "all_gather" else share * ranks
    return out, into


def check(task: dict[str, Any], target: Any, ranks: int) -> None:
    """End this process when a sum of ones is not the number of ranks."""
    sums = task["op"] == "sum" and task["collective"] in ("all_reduce", "reduce_scatter")
    if sums and not target[0] == target[-1] == np.asarray(ranks, target.dtype):
        sys.exit(f"wrong result of {task}: {target[0]}, {target[-1]}")


def time_calls(
    barrier: Call, calls: Sequence[Call], count: int, before: Callable[[int], None], after: Callable[[int], None]
) -> list[float]:
    """Seconds of `count` calls on this rank, each begun after a barrier; `calls` take turns.

    `before` and `after` get the number of the call; the first runs before the barrier, neither is timed.
    """
    times = []
    for i in range(count):
        before(i)
        call = calls[i % len(calls)]
        barrier()
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
        after(i)
    return times


def time_back_to_back(
    barrier: Call, calls: Sequence[Call], count: int, finish: Call = lambda: None
) -> tuple[float, float]:
    """Seconds and processor seconds of one of `count` calls without a pause, on this rank.

    `finish` waits for what calls leave to a device, once and within the time.
    """
    barrier()
    processor, begin = time.process_time(), time.perf_counter()
    for i in range(count):
        calls[i % len(calls)]()
    finish()
    seconds, used = time.perf_counter() - begin, time.process_time() - processor
    return seconds / count, used / count


def measure(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each call after a barrier, and seconds and processor seconds of one of many back to back.

    What the library refuses at the first call, on all ranks alike, is answered as a problem; a later failure ends
    the rank.
    """
    registered = task["registered"] and library.registers
    buffers = [
        make_buffers(task["collective"], task["dtype"], task["size"], library.size, registered=registered)
        for _ in range(task["buffers"])
    ]
    try:
        calls = [library.call(task["collective"], target, source, task["op"]) for target, source in buffers]
        calls[0]()
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        return {"problem": f"{type(problem).__name__}: {problem}"}
    warmup = task["warmup"]
    times = time_calls(
        library.barrier,
        calls,
        warmup + task["iterations"],
        before=lambda i: buffers[i % len(buffers)][1].fill(1),
        after=lambda i: check(task, buffers[i % len(buffers)][0], library.size),
    )
    for _, source in buffers:
        source.fill(0)
    seconds, used = time_back_to_back(library.barrier, calls, task["iterations"])
    return {"calls": times[warmup:], "loop": seconds, "processor": used}


def main() -> None:
    """Serve the one who started this process until it hangs up."""
    name, host, port = sys.argv[1:4]
    library = make_library(name)
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rw") as lines:

        def say(answer: dict[str, Any]) -> None:
            lines.write(json.dumps(answer) + "\n")
            lines.flush()

        say({"key": os.environ["BENCH_KEY"], "rank": library.rank})
        for task in lines:
            say(measure(library, json.loads(task)))


if __name__ == "__main__":
    main()

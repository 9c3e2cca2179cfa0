"""Work and futures: many at once, waited for in any order and from any thread."""

from __future__ import annotations

import threading
from pathlib import Path

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers, assert_bits, assert_over

POOLED_STREAMS = 32
MANY = 512


def many(peers: Peers) -> None:
    """512 all_reduces under way at once."""
    counts = [(13 * number) % 700 for number in range(MANY)]
    tensors = [peers.own("float32", count) for count in counts]
    works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
    for work in works:
        work.wait()
    for tensor, count in zip(tensors, counts, strict=True):
        assert_bits(tensor, peers.reduced("float32", "sum", count), f"{count} elements")


def interleaved(peers: Peers) -> None:
    """Synchronous calls behind asynchronous ones of other kinds; waits in reverse order."""
    started = []
    for number in range(40):
        count = 100 * number + 1
        reduced = peers.own("float64", count)
        started.append((dist.all_reduce(reduced, async_op=True), reduced, peers.reduced("float64", "sum", count)))
        sent = peers.own("int16", count)
        root = number % peers.size
        started.append((dist.broadcast(sent, root, async_op=True), sent, peers.brought("int16", count, root)))
        if number % 10 == 0:
            now = peers.own("float16", 33)
            dist.all_reduce(now)
            assert_bits(now, peers.reduced("float16", "sum", 33))
    for work, tensor, expected in reversed(started):
        work.wait()
        assert_bits(tensor, expected)


def futures(peers: Peers) -> None:
    expected = torch.from_numpy(peers.reduced("float32", "sum", 1000))
    for taken in ("before", "after"):
        tensor = peers.own("float32", 1000)
        work = dist.all_reduce(tensor, async_op=True)
        if taken == "after":
            work.wait()
        future = work.get_future()
        doubled = future.then(lambda done: done.value()[0] * 2).then(lambda done: done.value() + 1)
        assert torch.equal(doubled.wait(), expected * 2 + 1)
        assert future.done()
        assert future.value()[0].data_ptr() == tensor.data_ptr()

    listed = [torch.empty(10) for _ in range(peers.size)]
    dist.all_gather(listed, peers.own("float32", 10), async_op=True).get_future().wait()
    for tensor, array in zip(listed, peers.all("float32", 10), strict=True):
        assert_bits(tensor, array, "all_gather through its future")

    seen: list[str] = []
    called = threading.Event()

    def note(_: object) -> None:
        seen.append(threading.current_thread().name)
        called.set()

    dist.barrier(async_op=True).get_future().add_done_callback(note)
    assert called.wait(20)
    assert len(seen) == 1


def callbacks_behind_a_busy_interpreter(peers: Peers) -> None:
    """They keep their order, and need no thread each, when they have to wait for the interpreter's lock."""
    before = threads()
    order: list[int] = []
    all_called = threading.Event()

    def note(number: int) -> None:
        order.append(number)
        if len(order) == MANY:
            all_called.set()

    for number in range(MANY):
        future = dist.all_reduce(peers.own("float32", 10), async_op=True).get_future()
        future.add_done_callback(lambda _, number=number: note(number))
        if number % 100 == 0:
            sum(range(2_000_000))  # keeps the lock for longer than callbacks need
    # Nobody waits for the handles: who does may run a callback himself.
    assert all_called.wait(20)
    assert order == list(range(MANY))
    # A GPU's callbacks take turns on torch's pooled streams, and streams of the pretended GPU are threads.
    pooled = 0 if torch.get_default_device().type == "cpu" else POOLED_STREAMS
    assert threads() <= before + 4 + pooled


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def callback_errors(peers: Peers) -> None:
    """An exception in a callback belongs to its future; the engine goes on."""

    def fail(_: object) -> None:
        raise ValueError("from the callback")

    bad = dist.all_reduce(peers.own("float32", 10), async_op=True).get_future().then(fail)
    try:
        bad.wait()
    except Exception as error:
        assert "from the callback" in str(error)
    else:
        raise AssertionError("the callback's exception was lost")
    tensor = peers.own("float32", 10)
    dist.all_reduce(tensor)
    assert_bits(tensor, peers.reduced("float32", "sum", 10))


def another_thread_waits(peers: Peers) -> None:
    for _ in range(50):
        tensor = peers.own("float32", 999)
        work = dist.all_reduce(tensor, async_op=True)
        _in_thread(work, tensor, peers)
        assert_over(work)
        assert_bits(tensor, peers.reduced("float32", "sum", 999))


def _in_thread(work: dist.Work, tensor: torch.Tensor, peers: Peers) -> None:
    outcome: list[bool] = []
    thread = threading.Thread(target=lambda: outcome.append(work.wait()))
    thread.start()
    thread.join(20)
    assert outcome == [True]


def dropped_work(peers: Peers) -> None:
    """Nobody keeps the Work or the tensor; memory must live until the operation is over."""
    for _ in range(100):
        dist.all_reduce(peers.own("float32", 10_000), async_op=True)
    tensor = peers.own("float32", 100)
    dist.all_reduce(tensor)
    assert_bits(tensor, peers.reduced("float32", "sum", 100))


def profiled(peers: Peers) -> None:
    """A profile may be closed once the operation was waited for, also a group's first, which another thread ends."""
    for number in range(30):
        group = dist.new_group()
        with torch.autograd.profiler.profile() as profile:
            dist.all_reduce(peers.own("float32", 10), group=group)
            dist.all_reduce(peers.own("float32", 10), group=group, async_op=True).wait()
        events = [event for event in profile.function_events if event.name == "smddp:all_reduce"]
        assert len(events) == 2, number
        dist.destroy_process_group(group)

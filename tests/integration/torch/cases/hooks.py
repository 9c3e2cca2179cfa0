"""What cases do to streams: the pretended GPU has hooks for it, and a real one is given work that takes so long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from support import fake_gpu

__all__ = ["captured_on", "current", "held", "keep_busy", "on", "released_later"]

#: A real stream is held so long; what a case looks at meanwhile takes milliseconds.
HELD_SECONDS = 0.5
#: Of torch.cuda._sleep, for about 10 ms.
CYCLES = 20_000_000


def is_pretended() -> bool:
    return torch.get_default_device().type == "fakegpu"


def current() -> torch.Stream:
    return torch.accelerator.current_stream()


def on(stream: torch.Stream) -> AbstractContextManager[object]:
    """Makes it the current stream meanwhile."""
    context: AbstractContextManager[object] = torch.get_device_module(torch.get_default_device()).stream(stream)
    return context


def keep_busy(seconds: float) -> None:
    """Queue work on the current stream; not on the pretended GPU, which is held instead."""
    if not is_pretended():
        for _ in range(int(seconds * 100)):
            torch.cuda._sleep(CYCLES)


@contextmanager
def held(stream: torch.Stream) -> Iterator[None]:
    """Nothing that the stream is given inside happens before the end, or on a real GPU within HELD_SECONDS."""
    if not is_pretended():
        with on(stream):
            keep_busy(HELD_SECONDS)
        yield
        return
    gpu = fake_gpu.load()
    gpu.hold(stream)
    try:
        yield
    finally:
        gpu.release(stream)


def released_later(stream: torch.Stream, seconds: float) -> threading.Thread:
    """Holds the stream until the thread that it returns lets it go."""
    gpu = fake_gpu.load() if is_pretended() else None
    if gpu is None:
        with on(stream):
            keep_busy(seconds)
    else:
        gpu.hold(stream)

    def release() -> None:
        time.sleep(seconds)
        if gpu is not None:
            gpu.release(stream)

    thread = threading.Thread(target=release)
    thread.start()
    return thread


@contextmanager
def captured_on(stream: torch.Stream) -> Iterator[Callable[[], None]]:
    """Captures what the stream is given inside; afterwards the function that it yields gives it the stream again."""
    graph = None if is_pretended() else torch.cuda.CUDAGraph()

    def replay() -> None:
        with on(stream):
            if graph is None:
                fake_gpu.load().replay(stream)
            else:
                graph.replay()

    with on(stream):
        if graph is None:
            fake_gpu.load().begin_capture(stream)
        else:
            graph.capture_begin()
        yield replay
        if graph is None:
            fake_gpu.load().end_capture(stream)
        else:
            graph.capture_end()

"""The exceptions of smddp as torch.distributed raises them.

Each class here is the one of the same name in `smddp.errors` and `torch.distributed.DistBackendError` at once, so
code written for either catches it.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
import traceback
from types import TracebackType
from typing import Any

import torch.distributed as dist

from smddp import errors
from smddp.identity import read_identity

__all__ = ["error_of_status", "failure", "print_errors_plainly"]


def _with_torch(cls: type[errors.SMDDPError]) -> type[errors.SMDDPError]:
    def reduce(error: errors.SMDDPError) -> tuple[Any, ...]:
        return _rebuild, (cls.__name__, error.args)

    members = {"__doc__": cls.__doc__, "__qualname__": cls.__qualname__, "__reduce__": reduce}
    return type(cls.__name__, (cls, dist.DistBackendError), members)


_CLASSES = {name: _with_torch(getattr(errors, name)) for name in errors.__all__}


def error_of_status(code: int, message: str) -> errors.SMDDPError:
    """The exception for a failure that the native engine reports through torch."""
    return _CLASSES[errors.STATUS_CLASSES.get(code, errors.SMDDPError).__name__](message)


def failure(cls: type[errors.SMDDPError], problem: str) -> errors.SMDDPError:
    """The exception for a failure found in Python: as the engine's own, of class `cls`, beginning with rank and host.

    Args:
        cls: a class of `smddp.errors`.
        problem: the rest of the message.
    """
    return _CLASSES[cls.__name__](f"rank {_rank()} ({socket.gethostname()}): {problem}")


def _rank() -> int:
    if dist.is_initialized():
        return dist.get_rank()
    try:
        return read_identity(os.environ).rank
    except errors.SMDDPError:
        return 0  # an unreadable environment is an error of its own, and must not hide the one at hand


def _rebuild(name: str, args: tuple[Any, ...]) -> errors.SMDDPError:
    """Unpickles by name, because the classes do not say which module they live in."""
    return _CLASSES[name](*args)


@functools.cache
def print_errors_plainly() -> None:
    """Let an uncaught error of ours end with the line ``SMDDP...Error: rank N (host): ...``; works once.

    init_process_group installs an exception hook that puts "[rankN]: " before every line; ours say the rank already,
    and launchers look for the class name at the beginning of a line. torch's hook calls the one it finds, so ours is
    installed before, and writes past the buffer in which torch collects the lines.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, errors.SMDDPError) and sys.__stderr__ is not None:
            traceback.print_exception(kind, error, trace, file=sys.__stderr__)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook

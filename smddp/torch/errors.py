"""The exceptions of smddp as torch.distributed raises them.

Each class here is the one of the same name in `smddp.errors` and `torch.distributed.DistBackendError` at once, so
code written for either catches it.
"""

from __future__ import annotations

import functools
import sys
import traceback
from types import TracebackType

from torch.distributed import DistBackendError

from smddp import errors

__all__ = ["error_of_status", "print_errors_plainly"]


def _with_torch(cls: type[errors.SMDDPError]) -> type[errors.SMDDPError]:
    return type(cls.__name__, (cls, DistBackendError), {"__doc__": cls.__doc__, "__qualname__": cls.__qualname__})


_CLASSES = {code: _with_torch(cls) for code, cls in errors.STATUS_CLASSES.items()}


def error_of_status(code: int, message: str) -> errors.SMDDPError:
    """The exception for a failure that the native engine reports through torch."""
    return _CLASSES[code](message)


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

"""The exceptions of smddp: one tree, so that a caller can catch everything or exactly one cause.

Each class also derives from the built-in exception that describes the same cause, so code which knows nothing
about smddp (``except ValueError``, ``except TimeoutError``) handles it too. Every message begins with the rank
and host that raise it and names culprits as ``rank N``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "SMDDPAbortedError",
    "SMDDPArgumentError",
    "SMDDPConfigError",
    "SMDDPError",
    "SMDDPMismatchError",
    "SMDDPNCCLError",
    "SMDDPPeerLostError",
    "SMDDPStateError",
    "SMDDPSystemError",
    "SMDDPTimeoutError",
]


def _show_plainly(cls: type[RuntimeError]) -> None:
    # Python prints "module.Class: message" for an uncaught exception unless the module is builtins. The last line of
    # a failed job is read by people and searched by launchers, so it begins with the class name alone.
    cls.__module__ = "builtins"


class SMDDPError(RuntimeError):
    """Base class of every error that smddp raises on purpose."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _show_plainly(cls)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self).__name__, self.args)


class SMDDPArgumentError(SMDDPError, ValueError):
    """A bad argument: wrong device, layout, dtype, shape, operation, root or command-line option."""


class SMDDPConfigError(SMDDPError, ValueError):
    """A bad value in the environment or in the configuration."""


class SMDDPStateError(SMDDPError):
    """A call at the wrong time: before init, after shutdown, twice, or in a forked child."""


class SMDDPMismatchError(SMDDPError):
    """The ranks of a group called different collectives, or the same one with different dtypes or counts."""


class SMDDPTimeoutError(SMDDPError, TimeoutError):
    """A deadline passed; the message names the ranks that had not arrived."""


class SMDDPPeerLostError(SMDDPError, ConnectionError):
    """A rank died, or left before it took part in the operation."""


class SMDDPAbortedError(SMDDPError):
    """The communicator was destroyed while the operation was pending."""


class SMDDPSystemError(SMDDPError, OSError):
    """The operating system refused a resource: memory, a socket, a thread."""


class SMDDPNCCLError(SMDDPError):
    """NCCL reported an error."""


_show_plainly(SMDDPError)

#: By the native engine's status code (native/include/smddp/status.h).
STATUS_CLASSES: dict[int, type[SMDDPError]] = {
    2: SMDDPArgumentError,
    3: SMDDPConfigError,
    4: SMDDPStateError,
    5: SMDDPMismatchError,
    6: SMDDPTimeoutError,
    7: SMDDPPeerLostError,
    8: SMDDPAbortedError,
    9: SMDDPSystemError,
}


def error_of_status(code: int, message: str) -> SMDDPError:
    """The exception for a failure that the native engine reports."""
    return STATUS_CLASSES.get(code, SMDDPError)(message)


def _rebuild(name: str, args: tuple[Any, ...]) -> SMDDPError:
    """Unpickles by name, because the classes do not say which module they live in."""
    cls: type[SMDDPError] = globals().get(name, SMDDPError)
    return cls(*args)

"""The exceptions of this library, and no other class: launchers list the classes of this module."""

from __future__ import annotations

from smddp.errors import (
    SMDDPAbortedError,
    SMDDPArgumentError,
    SMDDPConfigError,
    SMDDPError,
    SMDDPMismatchError,
    SMDDPNCCLError,
    SMDDPPeerLostError,
    SMDDPStateError,
    SMDDPSystemError,
    SMDDPTimeoutError,
)

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

"""The costs that a command is told with --costs."""

from __future__ import annotations

from pathlib import Path

from smddp.costs import Costs, load
from smddp.errors import SMDDPConfigError

__all__ = ["costs_of"]


def costs_of(path: Path, transport: str) -> Costs:
    """Those of a transport in a file.

    Raises:
        SMDDPConfigError: the file has a mistake, or nothing for the transport.
    """
    found = load(path)
    if transport not in found:
        msg = f"{path}: has costs of {', '.join(found)}, not of {transport}; give --transport {next(iter(found))}"
        raise SMDDPConfigError(msg)
    return found[transport]

"""One rank of a `World`: `python -m support.rank_main module:function argument...`."""

from __future__ import annotations

import importlib
import signal
import sys

__all__ = ["run_case"]


def run_case(case: str, arguments: list[str]) -> None:
    """Call `module:function` with the arguments as text; exceptions are the caller's, uncaught on purpose."""
    # As in a terminal; a shell that runs the tests in the background lets its children ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, _, function = case.partition(":")
    getattr(importlib.import_module(module), function)(*arguments)


if __name__ == "__main__":
    run_case(sys.argv[1], sys.argv[2:])

"""Cases that the ranks of one world run one after the other."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection

__all__ = ["run_cases"]


def run_cases(module: str, peers: object, barrier: Callable[[], object], *, without: Collection[str] = ()) -> None:
    """Run every function `(peers)` that the module defines, with a barrier after each.

    Args:
        module: its whole name.
        peers: what each case gets.
        barrier: returns when all ranks have called it.
        without: names of those that are not to run.
    """
    members = vars(importlib.import_module(module))
    for name, case in list(members.items()):  # compiling adds to them
        if (
            inspect.isfunction(case)
            and name not in without
            and case.__module__ == module
            and list(inspect.signature(case).parameters) == ["peers"]
        ):
            print(name, flush=True)
            case(peers)
            barrier()

"""Becoming another program, so that signals and the exit code are that program's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import NoReturn

__all__ = ["become"]


def become(path: str, argv: list[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program; a ``path`` without a slash is looked for on the PATH of ``env``.

    Raises:
        OSError: the program cannot be started; this process goes on as it was.
    """
    # Python ignores these two, and what is ignored stays so across exec: a pipeline would no longer end.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        os.execvpe(path, argv, env)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

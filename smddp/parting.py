"""What a rank says to the others when an exception ends it."""

from __future__ import annotations

import sys

__all__ = ["parting_words"]

_MAX_BYTES = 200


def parting_words() -> str:
    """Name and first line of the exception that ends this process, or is being handled here; "" if there is none.

    The interpreter keeps the exception that has reached the top of the main thread in `sys.last_value` before it calls
    `sys.excepthook`, whatever hook a library has put there; exit handlers run after that. In an interactive interpreter
    such an exception has ended nothing. SystemExit is no error.

    Returns:
        printable text of at most 200 bytes (UTF-8).
    """
    error = sys.exc_info()[1]
    if error is None and not hasattr(sys, "ps1") and not sys.flags.inspect:
        error = getattr(sys, "last_value", None)
    return "" if error is None or isinstance(error, SystemExit) else _one_line(error)


def _one_line(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # the user's class may do anything; its name is worth saying
        lines = []
    text = ": ".join([type(error).__name__, *lines[:1]])
    printable = "".join(character if character.isprintable() else "?" for character in text)
    # a lone surrogate is not printable, so all can be encoded; a character that the limit cuts is left out
    return printable.encode()[:_MAX_BYTES].decode(errors="ignore")

"""Which line of a program's standard error says why it failed. Pure."""

from __future__ import annotations

import re

__all__ = ["find_cause"]

#: The line of a traceback that names the exception, or one that looks like it: our errors, printed by others.
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Warning|Iteration)(?:: .*)?$"
)
_TRACEBACK = "Traceback (most recent call last):"
#: In front of each line, once torch knows the rank.
_TORCH_TAG = re.compile(r"^\[rank\d+\]: ?")
#: What else ends a process with a word of its own.
_OTHERS = ("terminate called after", "Fatal Python error:", "smddprun: ")


def find_cause(text: str) -> str:
    """The first line of the last error in the text, "" if there is none.

    Args:
        text: the end of what a program has printed on standard error.
    """
    cause = ""
    in_traceback = False
    for tagged in re.split(r"[\r\n]+", text):
        line = _TORCH_TAG.sub("", tagged)
        if line.startswith(_TRACEBACK):
            in_traceback = True
        elif in_traceback and line and not line[0].isspace():
            cause, in_traceback = line, False
        elif _EXCEPTION.match(line) or line.startswith(_OTHERS):
            cause = line
    return cause.strip()

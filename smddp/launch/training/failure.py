"""What the file output/failure says, in the form of the SageMaker training toolkit. Pure."""

from __future__ import annotations

import builtins
import re
import shlex
from collections import deque
from collections.abc import Iterable, Sequence

from smddp import errors

__all__ = ["SHOWN_CHARACTERS", "ErrorLines", "failure_text", "own_error_name"]

#: The service shows this much of the file.
SHOWN_CHARACTERS = 1024
_MAX_LINES = 60
_MAX_LINE_CHARACTERS = 400
#: What a job says when it ends without naming an error.
_LAST_LINES = 10

_BUILTIN_NAMES = [
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
]
_NAMED = re.compile(
    rf"(?:[A-Za-z_]\w*\.)*(?:{'|'.join([*_BUILTIN_NAMES, *errors.__all__])})(?::|$)"
    "|terminate called after|Fatal Python error:"
)
_SUMMARY = "smddprun: "
#: What mpirun puts in front of a line, and torch before that.
_TAG = re.compile(r"^(?:\[\d+,\d+\]<std(?:out|err)>: ?|\[\d+\] )?(?:\[rank\d+\]: ?)?")
_GENERAL_NAME = "ExecuteUserScriptError"


class ErrorLines:
    """What a job printed from the first line that names an error on, else its last lines; add lines as they come.

    In front is what smddprun has said last: it knows where the failure began. Lines may carry tags of mpirun and of
    torch. The same line from several ranks counts once.
    """

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._found: dict[str, None] = {}
        self._summary: list[str] = []

    def add(self, line: str) -> None:
        """Take note of one line."""
        text = _TAG.sub("", line.rstrip())[:_MAX_LINE_CHARACTERS]
        if text.startswith(_SUMMARY):
            self._summary = [text]
        elif not text.strip() or len(self._found) == _MAX_LINES:
            return
        elif self._found or _NAMED.match(text):
            self._found[text] = None
        else:
            self._last.append(text)

    def lines(self) -> list[str]:
        """Return them, without what led up to the error."""
        return self._summary + (list(self._found) or list(self._last))


def own_error_name(lines: Iterable[str]) -> str:
    """Return the class of the failure: the first error of smddp that a line names, else the toolkit's general one."""
    for line in lines:
        found = re.search(rf"\b({'|'.join(errors.__all__)})\b", line)
        if found:
            return found.group(1)
    return _GENERAL_NAME


def failure_text(lines: Sequence[str], exit_code: int, command: Sequence[str]) -> str:
    """Return the content of the file: class, exit code, the error's lines, the command."""
    message = "\n".join(lines)
    return (
        f'{own_error_name(lines)}:\nExitCode {exit_code}\nErrorMessage "{message}"\nCommand "{shlex.join(command)}"\n'
    )

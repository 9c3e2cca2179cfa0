"""Results of tests as lines of JSON: how the runner writes them, and what its caller reads."""

from __future__ import annotations

import dataclasses
import json
import time
import unittest
from dataclasses import dataclass
from typing import Any, TextIO

__all__ = ["JsonResult", "Result", "error_line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one test.

    Attributes:
        outcome: pass, skip, fail, or error (an exception in a rank, which covers its failed assertions).
        reason: of the skip, or what the error says; '' after a pass.
    """

    name: str
    outcome: str
    reason: str
    seconds: float


def error_line(text: str) -> str:
    """What the exception of the first rank that failed says, in one line, from the text of the suite's error.

    A rank's last traceback is of the exception that reached the top. The first line there that is not indented names
    it; more lines may follow, such as the frames in C++.
    """
    first_rank = text.partition("\n\nProcess ")[0]
    lines = first_rank.rpartition("Traceback (most recent call last):\n")[2].splitlines()
    return next((line for line in lines if line and not line[0].isspace()), "")


class JsonResult(unittest.TestResult):
    """Writes a line for each test that has ended."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._began = 0.0
        self._outcome = ("pass", "")

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome = ("pass", "")
        self._began = time.monotonic()

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._outcome = ("fail", error_line(str(err[1])))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._outcome = ("error", error_line(str(err[1])))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._outcome = ("skip", reason)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        outcome, reason = self._outcome
        seconds = round(time.monotonic() - self._began, 3)
        result = Result(name=test.id().rpartition(".")[2], outcome=outcome, reason=reason, seconds=seconds)
        print(json.dumps(dataclasses.asdict(result)), file=self._out, flush=True)

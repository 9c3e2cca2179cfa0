"""What one misconfiguration that the doctor must name consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smddp.tools.doctor.checks import Subject
from smddp.tools.doctor.finding import Severity


@dataclass(frozen=True, kw_only=True)
class Case:
    """A misconfiguration, and how the doctor is to name it: severity, check, hosts, and words of its sentences."""

    make: Callable[[], Subject]
    expected: tuple[str, str, tuple[str, ...]]
    problem: str
    advice: str = ""


E, W, N = (severity.value for severity in Severity)
BOTH = ("node0", "node1")

"""What a check has found."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Finding", "Severity", "merge"]


class Severity(enum.Enum):
    """How bad it is; in the order in which findings are shown."""

    ERROR = "error"  # jobs fail, or compute something else
    WARNING = "warning"  # jobs run slower, or some programs fail
    NOTE = "note"  # good to know


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    Args:
        severity: how bad it is.
        check: short name of the check, the same in all versions.
        hosts: where; empty for what concerns the job as a whole.
        problem: one sentence: what is wrong.
        advice: one sentence: what to do.
    """

    severity: Severity
    check: str
    hosts: tuple[str, ...] = ()
    problem: str
    advice: str


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Return the worst first, and what is the same on several hosts as one."""
    hosts: dict[tuple[Severity, str, str, str], dict[str, None]] = {}
    for one in findings:
        hosts.setdefault((one.severity, one.check, one.problem, one.advice), {}).update(dict.fromkeys(one.hosts))
    order = list(Severity)
    merged = [
        Finding(severity=severity, check=check, hosts=tuple(names), problem=problem, advice=advice)
        for (severity, check, problem, advice), names in hosts.items()
    ]
    return sorted(merged, key=lambda one: order.index(one.severity))

"""Findings as text for people, or as JSON for programs. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from smddp.tools.doctor.checks import Subject
from smddp.tools.doctor.checks.network import chosen
from smddp.tools.doctor.checks.subject import size_text
from smddp.tools.doctor.facts import encode
from smddp.tools.doctor.finding import Finding, Severity

__all__ = ["as_json", "as_text", "exit_code"]

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
_COLUMNS = ("host", "cores", "memory", "interface", "address", "mtu", "python", "torch", "tensorflow")
_MARGIN = 9


def exit_code(findings: Sequence[Finding]) -> int:
    """1 if there is an error among them."""
    return int(any(one.severity is Severity.ERROR for one in findings))


def as_text(subject: Subject, findings: Sequence[Finding], *, width: int = 100, colour: bool = False) -> str:
    """Return a table of the hosts, each finding with what to do, and the counts."""
    parts = [*_table(subject), ""] if subject.hosts else []
    for one in findings:
        parts += [*_finding(one, len(subject.hosts) + len(subject.unreached), width, colour=colour), ""]
    return "\n".join([*parts, _summary(subject, findings)]) + "\n"


def as_json(subject: Subject, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return findings and facts as what JSON can hold."""
    return {
        "findings": [
            {
                "severity": one.severity.value,
                "check": one.check,
                "hosts": list(one.hosts),
                "problem": one.problem,
                "advice": one.advice,
            }
            for one in findings
        ],
        "counts": {severity.value: _count(findings, severity) for severity in Severity},
        "hosts": [{"name": name, **encode(host)} for name, host in subject.each()],
        "pairs": [encode(pair) for pair in subject.pairs],
    }


def _table(subject: Subject) -> list[str]:
    rows = [_COLUMNS]
    for name, host in subject.each():
        interface = chosen(host)
        packages = host.software.packages
        rows.append(
            (
                name,
                str(host.system.cores_usable),
                size_text(host.system.memory),
                *((interface.name, interface.address, str(interface.mtu)) if interface else ("-", "-", "-")),
                host.software.python,
                packages.get("torch", "-"),
                packages.get("tensorflow", "-"),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["  ".join(word.ljust(wide) for word, wide in zip(row, widths, strict=True)).rstrip() for row in rows]


def _finding(one: Finding, hosts: int, width: int, *, colour: bool) -> list[str]:
    label = one.severity.value.ljust(_MARGIN)
    if colour:
        label = f"\x1b[1;{_COLOURS[one.severity]}m{label}\x1b[0m"
    where = "" if not one.hosts or hosts < 2 else f"{', '.join(one.hosts)}: "
    problem = textwrap.wrap(f"{where}{one.problem} [{one.check}]", width - _MARGIN, break_long_words=False)
    advice = textwrap.wrap(one.advice, width - _MARGIN - 3, break_long_words=False)
    indented = " " * _MARGIN
    return [
        label + problem[0],
        *(indented + line for line in problem[1:]),
        *(f"{indented}{'-> ' if index == 0 else '   '}{line}" for index, line in enumerate(advice)),
    ]


def _summary(subject: Subject, findings: Sequence[Finding]) -> str:
    hosts = len(subject.hosts)
    counts = [_counted(_count(findings, severity), severity.value) for severity in Severity]
    return f"{_counted(hosts, 'host')} examined: {', '.join(counts)}"


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(one.severity is severity for one in findings)


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"

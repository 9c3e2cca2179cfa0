"""What the doctor concludes from facts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from unit.doctor_cases import BOTH, CASES
from unit.doctor_hosts import changed, on, one_host, routed, two_hosts

from smddp.tools.doctor.checks import Subject, examine
from smddp.tools.doctor.checks.limits import descriptors_needed
from smddp.tools.doctor.facts import HostFacts, Route
from smddp.tools.doctor.finding import Finding, Severity, merge

pytestmark = pytest.mark.timeout(30)


def told(findings: list[Finding]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.severity.value, one.check, one.hosts) for one in findings]


@pytest.mark.parametrize("name", CASES)
def test_misconfiguration_is_named(name: str) -> None:
    case = CASES[name]
    findings = examine(case.make())
    assert told(findings) == [case.expected]
    assert case.problem in findings[0].problem
    assert case.advice in findings[0].advice


@pytest.mark.parametrize("subject", [one_host(), two_hosts()], ids=["one host", "two hosts"])
def test_healthy_hosts(subject: Subject) -> None:
    assert examine(subject) == []


@pytest.mark.parametrize("name", CASES)
def test_sentences(name: str) -> None:
    for one in examine(CASES[name].make()):
        for text in (one.problem, one.advice):
            assert "\n" not in text
            assert not text.endswith((".", " "))
            assert not re.search(r"\bNone\b|\{|\}", text)


def test_hosts_that_say_nothing_need_no_judgement() -> None:
    # a probe of another version may leave out anything
    findings = examine(Subject(hosts=(HostFacts(),)))
    assert {one.check for one in findings} <= {"core", "loopback", "host-identity"}


def test_ports_that_somebody_holds_explain_the_store() -> None:
    held = on(2, "network", held_ports={"20000": "process 5 (nc)"})
    failing = routed(Route(address="node0:20000", problem="connection refused"), is_store=True)
    hosts = (
        changed(held.hosts[0], "environment", variables={"MASTER_PORT": "20000", "OMP_NUM_THREADS": "4"}),
        held.hosts[1],
    )
    findings = examine(replace(failing, hosts=hosts))
    assert ("error", "port-in-use", ("node0",)) in told(findings)
    assert "master-address" not in {one.check for one in findings}


def test_the_same_on_several_hosts_is_told_once() -> None:
    subject = on(2, "system", hosts=(0, 1), load=17.2)
    (finding,) = examine(subject)
    assert finding.hosts == BOTH


def test_order() -> None:
    made = [
        Finding(severity=severity, check=str(index), problem="p", advice="a")
        for index, severity in enumerate((Severity.NOTE, Severity.ERROR, Severity.WARNING, Severity.ERROR))
    ]
    assert [one.check for one in merge(made)] == ["1", "3", "2", "0"]


def test_descriptors_grow_with_the_job() -> None:
    assert descriptors_needed(1, 1) < descriptors_needed(8, 8) < descriptors_needed(8, 64)
    limited = on(1, "limits", open_files=descriptors_needed(2, 2) - 1)
    assert ("error", "open-files", ("node0",)) in told(examine(limited))
    assert "open-files" in {one.check for one in examine(on(1, "limits", open_files=800))}

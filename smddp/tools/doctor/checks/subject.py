"""What checks look at, and the words that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from smddp.tools.doctor.facts import HostFacts, PairFacts
from smddp.tools.doctor.finding import Finding, Severity

__all__ = ["Subject", "Unreached", "differences", "error", "note", "size_text", "warning"]

_STEP = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """A host without a probe: the reason, and what to do."""

    name: str
    problem: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All that is known.

    Args:
        hosts: in the order of their probes' ranks.
        pairs: who reached whom.
        ranks: number of the job's ranks by the probe's rank, where it is known.
        unreached: hosts that could not be examined.
        rank_problem: what is wrong with the rank variables where the doctor was started.
    """

    hosts: tuple[HostFacts, ...] = ()
    pairs: tuple[PairFacts, ...] = ()
    ranks: Mapping[int, int] = field(default_factory=dict)
    unreached: tuple[Unreached, ...] = ()
    rank_problem: str = ""

    @property
    def is_spread(self) -> bool:
        """Whether the job is on several hosts."""
        return len(self.hosts) + len(self.unreached) > 1

    def name(self, rank: int) -> str:
        """What findings call a host: its name, with the probe's number if that is another host's name too."""
        names = {host.rank: host.system.host_name for host in self.hosts}
        own = names.get(rank, f"host {rank}")
        return own if list(names.values()).count(own) < 2 else f"{own} #{rank}"

    def each(self) -> Iterator[tuple[str, HostFacts]]:
        """Yield the hosts with their names."""
        for host in self.hosts:
            yield self.name(host.rank), host


def _maker(severity: Severity) -> Callable[..., Finding]:
    def make(check: str, problem: str, advice: str, *hosts: str) -> Finding:
        return Finding(severity=severity, check=check, hosts=hosts, problem=problem, advice=advice)

    return make


error = _maker(Severity.ERROR)
warning = _maker(Severity.WARNING)
note = _maker(Severity.NOTE)


def differences(subject: Subject, value_of: Callable[[HostFacts], str]) -> str:
    """Return "2.1 on a, b; 2.2 on c" where a value is not the same everywhere, else ""; hosts with "" do not count."""
    names: dict[str, list[str]] = {}
    for name, host in subject.each():
        if value := value_of(host):
            names.setdefault(value, []).append(name)
    if len(names) < 2:
        return ""
    return "; ".join(f"{value} on {', '.join(hosts)}" for value, hosts in names.items())


def size_text(count: float) -> str:
    """Return a size for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < _STEP:
            return f"{count:.3g} {unit}"
        count /= _STEP
    return f"{count:.3g} TiB"

"""Who reaches whom, how, and what their clocks say."""

from __future__ import annotations

from collections.abc import Iterator

from smddp.tools.doctor.checks.subject import Subject, error, warning
from smddp.tools.doctor.facts import PairFacts, Route
from smddp.tools.doctor.finding import Finding

__all__ = ["check_clocks", "check_reach", "check_store"]

_SKEW_WARNING_SECONDS = 1.0
#: Signed requests (to S3, say) are refused from here on.
_SKEW_ERROR_SECONDS = 300.0
#: How long the engine tries an address before the next one (native/src/transport/tcp/rendezvous.cc).
_ROUTE_PATIENCE = "5 s"


def check_reach(subject: Subject) -> Iterator[Finding]:
    """Every host reaches every other one, by the first address that it tries, with long messages too."""
    for pair in subject.pairs:
        if pair.is_store or not pair.routes:
            continue
        source, target = subject.name(pair.rank), subject.name(pair.peer)
        good = [route for route in pair.routes if not route.problem]
        if not good:
            tried = "; ".join(f"{route.address}: {route.problem}" for route in pair.routes)
            problem = f"{source} cannot reach {target} ({tried})"
            yield error("unreachable", problem, _how_to_open(pair.routes), source, target)
            continue
        if good[0].loses_large:
            problem = f"short messages from {source} arrive at {target} ({good[0].address}), long ones are lost"
            advice = "the MTU on the way is smaller than that of the interfaces: make them equal (ip link set mtu)"
            yield error("long-messages", problem, advice, source, target)
        elif pair.routes[0].problem and pair.routes[0].is_slow:
            problem = (
                f"{source} tries {target} at {pair.routes[0].address} first, where nobody answers, "
                f"for {_ROUTE_PATIENCE}; then {good[0].address} works"
            )
            advice = f"set SMDDP_LISTEN_ADDRESS={good[0].address} on {target}, or take the other interface down"
            yield warning("first-address", problem, advice, source, target)


def check_store(subject: Subject) -> Iterator[Finding]:
    """Every host reaches rank 0's by the name and port that the job's ranks are given."""
    held = subject.hosts[0].network.held_ports if subject.hosts else {}
    if held:
        return  # who listens there is no probe
    for pair in subject.pairs:
        if not pair.is_store:
            continue
        source, (route,) = subject.name(pair.rank), pair.routes[:1]
        if route.problem:
            problem = f"{source} does not reach rank 0 at MASTER_ADDR:MASTER_PORT, {route.address}: {route.problem}"
            if "know the name" in route.problem or "itself" in route.problem:
                advice = "repair /etc/hosts or the name server there, or set MASTER_ADDR to an address"
            else:
                advice = _how_to_open(pair.routes)
            yield error("master-address", problem, advice, source)


def check_clocks(subject: Subject) -> Iterator[Finding]:
    """Clocks that disagree by more than the message took."""
    seen = set()
    for pair in subject.pairs:
        key = frozenset((pair.rank, pair.peer))
        route = next((route for route in pair.routes if not route.problem), None)
        if pair.is_store or route is None or key in seen:
            continue
        seen.add(key)
        skew = abs(route.clock_offset) - route.round_trip / 2
        if skew > _SKEW_WARNING_SECONDS:
            yield _skewed(subject, pair, route, is_error=skew > _SKEW_ERROR_SECONDS)


def _skewed(subject: Subject, pair: PairFacts, route: Route, *, is_error: bool) -> Finding:
    source, target = subject.name(pair.rank), subject.name(pair.peer)
    way = "ahead of" if route.clock_offset > 0 else "behind"
    problem = f"the clock of {target} is {abs(route.clock_offset):.1f} s {way} that of {source}"
    advice = "set them by NTP (chronyc makestep)"
    return (error if is_error else warning)("clock", problem, advice, source, target)


def _how_to_open(routes: tuple[Route, ...]) -> str:
    if all("no answer" in route.problem for route in routes):
        return "a firewall or security group drops these packets: allow all TCP ports between the hosts of a job"
    if any("refused" in route.problem or "prohibited" in route.problem for route in routes):
        return "a firewall refuses these connections: allow all TCP ports between the hosts of a job"
    return "there is no way from one to the other: look at ip route, and at the interfaces of both"

"""Gathering the facts of all hosts: of this one directly, of others by probes in two rounds."""

from __future__ import annotations

import dataclasses
import os
import secrets
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from smddp.errors import SMDDPArgumentError, SMDDPConfigError, SMDDPSystemError
from smddp.identity import is_loopback, read_identity
from smddp.launch.hosts import place
from smddp.launch.machine import examine_machine
from smddp.launch.mpirun import order_hosts
from smddp.launch.spec import Dialect, Host, Options
from smddp.tools.doctor.checks import Subject
from smddp.tools.doctor.collect import collect_facts
from smddp.tools.doctor.collect.interfaces import engine_order, read_interfaces
from smddp.tools.doctor.collect.loading import LOADING_SECONDS
from smddp.tools.doctor.facts import HostFacts, PairFacts, decode, encode
from smddp.tools.doctor.lines import pack
from smddp.tools.doctor.pairs import Peer, Table
from smddp.tools.doctor.probe import GATHER, MEET
from smddp.tools.doctor.start import Started, count_hosts, start_probes
from smddp.tools.doctor.unreached import Answer, ask_hosts, explain

__all__ = ["look", "rank_problem"]

_MEET_SECONDS = 15.0
#: For mpirun and ssh, before the probes begin and after they have ended.
_START_SECONDS = 60.0
_AT_ONCE = 8


def look(options: Options, *, quick: bool) -> Subject:
    """Gather the facts of the hosts on which a job of these options would run.

    Raises:
        SMDDPError: it cannot be done; the message says why.
    """
    hosts = _placed(options)
    count = count_hosts(options, os.environ)
    if count > 1 or not all(_is_here(host.name) for host in hosts):
        return _Distant(options, hosts, count, quick=quick).look()
    # What -x sets is to be examined, too.
    assigned = (export.partition("=") for export in options.exports)
    env = {**os.environ, **{name: value for name, has_value, value in assigned if has_value}}
    facts = collect_facts(env, mpirun=options.mpirun, quick=quick)
    ranks = options.process_count or sum(host.slots or 1 for host in hosts)
    return Subject(hosts=(facts,), ranks={0: ranks}, rank_problem=rank_problem())


def rank_problem() -> str:
    """Why jobs that are started here would be told wrong ranks; "" if they would not."""
    try:
        identity = read_identity(os.environ)
    except (SMDDPConfigError, SMDDPArgumentError) as error:
        return str(error)
    if identity.size == 1:
        return ""
    return (
        f"the variables of {identity.source} say that this shell is rank {identity.rank} of {identity.size}, and "
        "smddprun starts no job inside a rank"
    )


class _Distant:
    """Several hosts, or one that is not this."""

    def __init__(self, options: Options, hosts: tuple[Host, ...], count: int, *, quick: bool) -> None:
        self._options, self._count, self._quick = options, count, quick
        self._dialect: Dialect = examine_machine(options.mpirun, os.environ).dialect
        # As mpirun fills them: so the n-th host has the probe of rank n.
        self._hosts = order_hosts(hosts, self._dialect, _own_names())
        self._ranks = _filled(self._hosts, options.process_count)

    def look(self) -> Subject:
        """Gather the facts, and let the probes that have answered call each other."""
        return self._look_at_hosts() if self._hosts else self._look_at_allocation()

    def _look_at_hosts(self) -> Subject:
        answers = self._ask()
        good = [host for host in self._hosts if answers[host.name].code == 0]
        seen = self._gather(good)
        # Where one host keeps mpirun from starting anything, it is the one that fails alone, too.
        if len(good) > 1 and not any(facts for facts, _ in seen):
            with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
                seen = [one for (one,) in pool.map(lambda host: self._gather([host]), good)]
        there = [host for host, (facts, _) in zip(good, seen, strict=True) if facts]
        found = _renumbered([facts for facts, _ in seen if facts])
        messages = {host.name: said for host, (_, said) in zip(good, seen, strict=True)}
        missing = [host.name for host in self._hosts if host not in there]
        return Subject(
            hosts=tuple(found),
            pairs=tuple(self._meet(there, found)),
            ranks={rank: self._ranks[host] for rank, host in enumerate(there)},
            unreached=tuple(explain(name, answers[name], messages.get(name, "")) for name in missing),
            rank_problem=rank_problem(),
        )

    def _look_at_allocation(self) -> Subject:
        started = self._start((), self._count, self._gather_words(), self._gather_seconds())
        found = [decode(HostFacts, facts) for facts in started.results.values()]
        if len(found) < self._count:
            said = started.messages.strip() or "nothing"
            msg = f"{len(found)} of {self._count} hosts have answered; mpirun says: {said}"
            raise SMDDPSystemError(msg)
        return Subject(hosts=tuple(found), pairs=tuple(self._meet((), found)), rank_problem=rank_problem())

    def _ask(self) -> dict[str, Answer]:
        """Whether the hosts are there at all: mpirun would wait for one that is not until TCP gives up."""
        distant = [host.name for host in self._hosts if not _is_here(host.name)]
        here = {host.name: Answer() for host in self._hosts if host.name not in distant}
        return here | ask_hosts(distant, self._options.mpi_options, os.environ)

    def _gather(self, hosts: Sequence[Host]) -> list[tuple[HostFacts | None, str]]:
        """For each host its facts, and what mpirun has said."""
        if not hosts:
            return []
        started = self._start(hosts, len(hosts), self._gather_words(), self._gather_seconds())
        results = [started.results.get(rank) for rank in range(len(hosts))]
        return [(None if facts is None else decode(HostFacts, facts), started.messages) for facts in results]

    def _gather_words(self) -> list[str]:
        return [GATHER, pack({"quick": self._quick, "mpirun": self._options.mpirun})]

    def _gather_seconds(self) -> float:
        return _START_SECONDS if self._quick else _START_SECONDS + LOADING_SECONDS

    def _meet(self, hosts: Sequence[Host], found: Sequence[HostFacts]) -> list[PairFacts]:
        if len(found) < 2:
            return []
        peers = tuple(
            Peer(rank=facts.rank, port=facts.network.listen_port, addresses=_offered(facts)) for facts in found
        )
        table = Table(token=secrets.token_hex(16), seconds=_MEET_SECONDS, peers=peers)
        words = [MEET, pack(encode(table))]
        started = self._start(hosts, len(found), words, _MEET_SECONDS + _START_SECONDS)
        return [decode(PairFacts, pair) for pairs in started.results.values() for pair in pairs]

    def _start(self, hosts: Sequence[Host], count: int, words: Sequence[str], seconds: float) -> Started:
        options = dataclasses.replace(self._options, hosts=tuple(hosts))
        return start_probes(options, count, self._dialect, words, seconds)


def _renumbered(found: Sequence[HostFacts]) -> list[HostFacts]:
    """Ranks as the next probes will have them, on these hosts only; and one rank 0 that needs its ports."""
    numbered = [dataclasses.replace(facts, rank=rank) for rank, facts in enumerate(found)]
    return numbered[:1] + [
        dataclasses.replace(facts, network=dataclasses.replace(facts.network, held_ports={})) for facts in numbered[1:]
    ]


def _placed(options: Options) -> tuple[Host, ...]:
    """The hosts, with the number of ranks that each would get."""
    if not options.hosts:
        return ()
    count = options.process_count or sum(host.slots or 1 for host in options.hosts)
    return place(options.hosts, count, oversubscribe=options.oversubscribe)


def _filled(hosts: Sequence[Host], count: int | None) -> dict[Host, int]:
    """How many ranks each host gets when they are filled one after the other."""
    filled = {}
    rest = sum(host.slots or 1 for host in hosts) if count is None else count
    for host in hosts:
        filled[host] = min(host.slots or 1, rest)
        rest -= filled[host]
    return filled


def _own_names() -> frozenset[str]:
    own = socket.gethostname()
    return frozenset({"localhost", own, own.partition(".")[0]})


def _is_here(name: str) -> bool:
    return name in _own_names() or is_loopback(name) or name in {one.address for one in read_interfaces()}


def _offered(facts: HostFacts) -> tuple[str, ...]:
    """The addresses that the engine would publish."""
    listen = facts.environment.variables.get("SMDDP_LISTEN_ADDRESS")
    spec = facts.environment.variables.get("SMDDP_SOCKET_IFNAME", "")
    usable = tuple(one.address for one in engine_order(facts.network.interfaces, spec))
    return (listen,) if listen else usable[:1] if spec else usable

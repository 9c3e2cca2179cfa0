"""Every probe calls every other one, over each address that the engine would offer, while it answers their calls.

A call: the token and the caller's rank; the answer, the rank of who answers; some short questions for the time; then as
much as many packets hold, and an answer to that. Packets that are too long for a network on the way are lost there
without a word when its routers keep silent, so short messages prove nothing. Who has made all its calls says farewell,
by another call, and leaves when everybody has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from smddp.tools.doctor.collect.network import resolve
from smddp.tools.doctor.facts import PairFacts, Route

__all__ = ["LARGE_BYTES", "Call", "Peer", "Table", "call", "meet", "serve"]

LARGE_BYTES = 256 * 1024
_QUESTIONS = 5
_PAUSE_SECONDS = 0.2
_ATTEMPT_SECONDS = 3.0
_LARGE_SECONDS = 3.0
_SLOW_SECONDS = 1.0
_TIME = struct.Struct("!d")
_HELLO = struct.Struct("!32s?i")
_ANSWER = struct.Struct("!i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A probe: its rank, and where it listens."""

    rank: int = 0
    port: int = 0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All probes; `token` keeps strangers out, `seconds` is how long they try."""

    token: str = ""
    seconds: float = 10.0
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who calls whom, by rank."""

    token: str
    rank: int
    peer: int
    is_farewell: bool = False


class _WrongAnswerError(ConnectionError):
    """Somebody else has answered."""


class _SilentAnswerError(ConnectionError):
    """A connection, and nothing more."""


def meet(table: Table, rank: int, env: Mapping[str, str]) -> list[PairFacts]:
    """Answer and call until all is known, or the time is up.

    Args:
        table: the probes.
        rank: this one's.
        env: MASTER_ADDR and MASTER_PORT say where rank 0 of a job would be.
    """
    until = time.monotonic() + table.seconds
    own = next(peer for peer in table.peers if peer.rank == rank)
    others = [peer for peer in table.peers if peer.rank != rank]
    store_port = int(env.get("MASTER_PORT") or 0)
    answers = _Answers(table.token, rank)
    answers.listen(env.get("SMDDP_LISTEN_ADDRESS", ""), own.port)
    if rank == 0 and store_port:
        answers.listen("", store_port)
    calls = [_PeerCall(Call(token=table.token, rank=rank, peer=peer.rank), peer, until) for peer in others]
    found = []
    if rank != 0 and store_port:
        call_store = Call(token=table.token, rank=rank, peer=0)
        found.append(_StoreCall(call_store, (env.get("MASTER_ADDR", ""), store_port), until).result())
    found += [one.result() for one in calls]
    for one in calls:
        one.say_farewell()
    answers.wait_for({peer.rank for peer in others}, until)
    answers.end()
    return found


class _Answers:
    """What answers calls, in threads that end with the process."""

    def __init__(self, token: str, rank: int) -> None:
        self._token = token
        self._rank = rank
        self._gone: set[int] = set()
        self._listening: list[socket.socket] = []
        self._news = threading.Condition()

    def listen(self, address: str, port: int) -> None:
        """Begin to answer there; if that is impossible, callers will notice."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
            listening.listen(128)
        except OSError:
            listening.close()
            return
        self._listening.append(listening)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def end(self) -> None:
        """Answer no more."""
        for listening in self._listening:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread

    def wait_for(self, ranks: set[int], until: float) -> None:
        """Return when all these have said farewell, or at the deadline."""
        with self._news:
            self._news.wait_for(lambda: ranks <= self._gone, max(until - time.monotonic(), 0))

    def _accept(self, listening: socket.socket) -> None:
        with listening, contextlib.suppress(OSError):
            while True:
                accepted, _ = listening.accept()
                threading.Thread(target=self._answer, args=(accepted,), daemon=True).start()

    def _answer(self, accepted: socket.socket) -> None:
        gone = serve(accepted, self._token, self._rank)
        if gone is not None:
            with self._news:
                self._gone.add(gone)
                self._news.notify_all()


def serve(accepted: socket.socket, token: str, rank: int) -> int | None:
    """Answer one call; returns the caller's rank if it says farewell."""
    with accepted:
        try:
            accepted.settimeout(_ATTEMPT_SECONDS)
            said, is_farewell, caller = _HELLO.unpack(_receive(accepted, _HELLO.size))
            if said != token.encode():
                return None
            accepted.sendall(_ANSWER.pack(rank))
            if is_farewell:
                return int(caller)
            for _ in range(_QUESTIONS):
                _receive(accepted, 1)
                accepted.sendall(_TIME.pack(time.time()))
            _receive(accepted, LARGE_BYTES)
            accepted.sendall(b"k")
        except (OSError, struct.error):
            return None
        return None


def call(address: tuple[str, int], what: Call, seconds: float = _ATTEMPT_SECONDS) -> Route:
    """Call once; `seconds` is how long each answer may take.

    Raises:
        OSError: nobody answers, or somebody else does.
    """
    with socket.create_connection(address, timeout=seconds) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_HELLO.pack(what.token.encode(), what.is_farewell, what.rank))
        try:
            (answered,) = _ANSWER.unpack(_receive(connection, _ANSWER.size))
        except TimeoutError as error:
            raise _SilentAnswerError from error
        if answered != what.peer:
            raise _WrongAnswerError
        if what.is_farewell:
            return Route(address=address[0])
        times = [_ask_time(connection) for _ in range(_QUESTIONS)]
        round_trip, offset = min(times)
        connection.settimeout(_LARGE_SECONDS)
        try:
            connection.sendall(b"x" * LARGE_BYTES)
            _receive(connection, 1)
        except OSError:
            return Route(address=address[0], loses_large=True, round_trip=round_trip, clock_offset=offset)
        return Route(address=address[0], round_trip=round_trip, clock_offset=offset)


def _ask_time(connection: socket.socket) -> tuple[float, float]:
    """Return the round trip, and how far the other clock is ahead (as in NTP, RFC 5905, on one time stamp)."""
    begin = time.time()
    connection.sendall(b"t")
    (there,) = _TIME.unpack(_receive(connection, _TIME.size))
    end = time.time()
    return end - begin, there - (begin + end) / 2


class _PeerCall:
    """Calls one probe over all its addresses at once, again and again where it fails: it may start later."""

    def __init__(self, what: Call, peer: Peer, until: float) -> None:
        self._call, self._peer, self._until = what, peer, until
        self._reached = threading.Event()
        self._routes: dict[str, Route] = {}
        self._threads = [threading.Thread(target=self._try, args=(address,), daemon=True) for address in peer.addresses]
        for thread in self._threads:
            thread.start()

    def result(self) -> PairFacts:
        """Wait for the end."""
        for thread in self._threads:
            thread.join()
        routes = tuple(self._routes[address] for address in self._peer.addresses)
        return PairFacts(rank=self._call.rank, peer=self._peer.rank, routes=routes)

    def say_farewell(self) -> None:
        """Let the probe go, if it is there."""
        good = next((route.address for route in self._routes.values() if not route.problem), None)
        if good is not None:
            with contextlib.suppress(OSError, struct.error):
                call((good, self._peer.port), replace(self._call, is_farewell=True))

    def _try(self, address: str) -> None:
        while True:
            begin = time.monotonic()
            try:
                route = call((address, self._peer.port), self._call)
            except (OSError, struct.error) as error:
                self._routes[address] = _failed(address, error, time.monotonic() - begin)
            else:
                self._routes[address] = route
                self._reached.set()
                return
            # Once it has answered elsewhere it is there, and one full attempt is enough.
            if self._reached.wait(_PAUSE_SECONDS) or time.monotonic() > self._until:
                return


class _StoreCall:
    """Calls rank 0 by the name and port that the job's ranks are given."""

    def __init__(self, what: Call, address: tuple[str, int], until: float) -> None:
        self._name, self._port = address
        self._addresses, self._problem = resolve(self._name)
        self._calls = _PeerCall(what, Peer(rank=0, port=self._port, addresses=self._addresses), until)
        self._rank = what.rank

    def result(self) -> PairFacts:
        """Wait for the end; the one route is the best of all."""
        shown = f"{self._name}:{self._port}"
        tried = self._calls.result().routes
        best = next((route for route in tried if not route.problem), None)
        if best is not None:
            return self._pair(Route(address=shown, round_trip=best.round_trip, clock_offset=best.clock_offset))
        if self._problem:
            return self._pair(Route(address=shown, problem=f"this host does not know the name ({self._problem})"))
        reasons = "; ".join(f"{route.address}: {route.problem}" for route in tried)
        if all(address.startswith("127.") for address in self._addresses):
            reasons = f"there the name means {', '.join(self._addresses)}, which is that host itself"
        return self._pair(Route(address=shown, problem=reasons))

    def _pair(self, route: Route) -> PairFacts:
        return PairFacts(rank=self._rank, peer=0, is_store=True, routes=(route,))


def _failed(address: str, error: Exception, seconds: float) -> Route:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, _SilentAnswerError):
        problem = "a connection, and no answer"
    elif isinstance(error, TimeoutError):
        problem = "no answer"
    elif isinstance(error, _WrongAnswerError):
        problem = "another host has answered"
    else:
        problem = os.strerror(number).lower() if number else "something else has answered"
    return Route(address=address, problem=problem, is_slow=seconds > _SLOW_SECONDS)


def _receive(connection: socket.socket, count: int) -> bytes:
    """Receive exactly so many bytes.

    Raises:
        ConnectionResetError: the connection ended before.
    """
    pieces = bytearray()
    while len(pieces) < count:
        piece = connection.recv(min(count - len(pieces), 65536))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        pieces += piece
    return bytes(pieces)

"""Probes that call each other: all on this machine, over sockets of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from smddp.tools.doctor.pairs import LARGE_BYTES, Call, Peer, Table, call, meet, serve

pytestmark = pytest.mark.timeout(60)

TOKEN = "0123456789abcdef" * 2
CALL = Call(token=TOKEN, rank=1, peer=0)


@contextlib.contextmanager
def answering(rank: int = 0, token: str = TOKEN) -> Iterator[tuple[tuple[str, int], list[int | None]]]:
    """Answer one call; yields the address, and what `serve` returned once it is over."""
    served: list[int | None] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            accepted, _ = listening.accept()
            served.append(serve(accepted, token, rank))

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname(), served
        thread.join()


def test_call() -> None:
    with answering() as (address, served):
        route = call(address, CALL)
    assert (route.problem, route.loses_large) == ("", False)
    assert 0 < route.round_trip < 30
    assert abs(route.clock_offset) <= route.round_trip
    assert served == [None]


def test_clock_that_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    caller = threading.current_thread()
    monkeypatch.setattr(
        "smddp.tools.doctor.pairs.time.time", lambda: real() + (0 if threading.current_thread() is caller else 90)
    )
    with answering() as (address, _):
        route = call(address, CALL)
    assert abs(route.clock_offset - 90) <= route.round_trip


def test_farewell() -> None:
    with answering() as (address, served):
        call(address, Call(token=TOKEN, rank=7, peer=0, is_farewell=True))
    assert served == [7]


@pytest.mark.parametrize("caller", [Call(token="f" * 32, rank=1, peer=0), Call(token=TOKEN, rank=1, peer=5)])
def test_strangers(caller: Call) -> None:
    with answering() as (address, served), pytest.raises(ConnectionError):
        call(address, caller)
    assert served == [None]


def test_long_messages_get_lost() -> None:
    """The other side answers short messages and never sees a long one whole, as behind a router that drops it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(37, socket.MSG_WAITALL)
                accepted.sendall(b"\0\0\0\0")
                for _ in range(5):
                    accepted.recv(1)
                    accepted.sendall(b"\0" * 8)
                accepted.recv(LARGE_BYTES - 1, socket.MSG_WAITALL)
                gone.wait()

        gone = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            route = call(listening.getsockname(), CALL)
        finally:
            gone.set()
            thread.join()
    assert route.loses_large


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def meet_all(table: Table, env: dict[str, str]) -> dict[tuple[int, int, bool], tuple[str, ...]]:
    """Let all probes meet in threads; returns problems by (rank, peer, is_store)."""
    found = []

    def run(rank: int) -> None:
        found.extend(meet(table, rank, env))

    threads = [threading.Thread(target=run, args=(peer.rank,)) for peer in table.peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {(one.rank, one.peer, one.is_store): tuple(route.problem for route in one.routes) for one in found}


def test_everybody_meets() -> None:
    ports = free_ports(4)
    peers = tuple(Peer(rank=rank, port=ports[rank], addresses=("127.0.0.1",)) for rank in range(3))
    begin = time.monotonic()
    found = meet_all(
        Table(token=TOKEN, seconds=40, peers=peers), {"MASTER_ADDR": "localhost", "MASTER_PORT": str(ports[3])}
    )
    assert time.monotonic() - begin < 40  # nobody has waited for the deadline
    everyone = {(rank, peer, False): ("",) for rank in range(3) for peer in range(3) if rank != peer}
    assert found == everyone | {(rank, 0, True): ("",) for rank in (1, 2)}


def test_one_address_of_two_and_one_probe_missing() -> None:
    ports = free_ports(3)
    peers = (
        Peer(rank=0, port=ports[0], addresses=("127.0.0.1",)),
        Peer(rank=1, port=ports[1], addresses=("127.0.0.1",)),
    )
    # 1 is told of an address of 0 at which nobody listens, and both of a third that never starts
    table = Table(token=TOKEN, seconds=1.5, peers=(*peers, Peer(rank=2, port=ports[2], addresses=("127.0.0.1",))))
    found = {}
    threads = [
        threading.Thread(target=lambda rank=rank: found.update({rank: meet(table, rank, {})})) for rank in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    problems = {(one.rank, one.peer): one.routes[0].problem for facts in found.values() for one in facts}
    assert problems == {(0, 1): "", (1, 0): "", (0, 2): "connection refused", (1, 2): "connection refused"}


def test_rank_0_by_a_name_that_leads_elsewhere() -> None:
    ports = free_ports(2)
    table = Table(token=TOKEN, seconds=0.5, peers=(Peer(rank=0, port=ports[0]), Peer(rank=1, port=ports[1])))
    for name, words in (("127.0.1.1", "which is that host itself"), ("no-such-host.invalid", "does not know the name")):
        store = next(one for one in meet(table, 1, {"MASTER_ADDR": name, "MASTER_PORT": "9"}) if one.is_store)
        assert words in store.routes[0].problem
        assert store.routes[0].address == f"{name}:9"

"""Where ranks meet that bring no framework's store: on one host nowhere that another program can take."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from integration.launch.helpers import clean_environment

pytestmark = pytest.mark.timeout(60)

RANKS = 2
SUM = """
import numpy as np, smddp
comm = smddp.init(timeout=3)
array = np.full(3, 10.0 ** comm.rank)
comm.all_reduce(array)
print(array.tolist())
smddp.shutdown()
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def run_ranks(*, count: int = RANKS, local: bool, **variables: str) -> list[subprocess.CompletedProcess[str]]:
    """Start the first ranks of `RANKS` as torchrun does, on one host or one on each, and return how they ended."""
    ranks = []
    try:
        for rank in range(count):
            place = {
                "RANK": str(rank),
                "WORLD_SIZE": str(RANKS),
                "LOCAL_RANK": str(rank if local else 0),
                "LOCAL_WORLD_SIZE": str(RANKS if local else 1),
                "MASTER_ADDR": "127.0.0.1",
            }
            ranks.append(
                subprocess.Popen(
                    [sys.executable, "-c", SUM],
                    env={**clean_environment(), **place, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        ended = []
        for rank in ranks:
            stdout, stderr = rank.communicate(timeout=40)
            ended.append(subprocess.CompletedProcess(rank.args, rank.returncode, stdout, stderr))
        return ended
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()


def test_ranks_of_one_host_need_no_port(taken_port: int) -> None:
    ranks = run_ranks(local=True, MASTER_PORT=str(taken_port - 1))
    assert [(rank.stdout, rank.stderr) for rank in ranks] == [("[11.0, 11.0, 11.0]\n", "")] * RANKS


def test_jobs_of_one_host_with_different_ports_do_not_meet() -> None:
    with ThreadPoolExecutor() as jobs:
        for ranks in jobs.map(lambda port: run_ranks(local=True, MASTER_PORT=port), ("1000", "1001")):
            assert [(rank.stdout, rank.stderr) for rank in ranks] == [("[11.0, 11.0, 11.0]\n", "")] * RANKS


def test_ranks_of_several_hosts_are_told_which_port_is_taken(taken_port: int) -> None:
    (first,) = run_ranks(count=1, local=False, MASTER_PORT=str(taken_port - 1))
    assert first.returncode != 0
    assert f"cannot listen on 127.0.0.1:{taken_port}: Address already in use" in first.stderr
    assert "SMDDP_STORE_PORT chooses the port" in first.stderr


def test_a_port_asked_for_is_used_on_one_host_too(taken_port: int) -> None:
    (first,) = run_ranks(count=1, local=True, SMDDP_STORE_PORT=str(taken_port))
    assert f"cannot listen on 127.0.0.1:{taken_port}: Address already in use" in first.stderr

"""Groups beside the default one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import torch
import torch.distributed as dist
from integration.torch.cases.common import Peers, assert_bits

from support.oracle import place, reduced

GROUPS = 8


def subgroups(peers: Peers) -> None:
    """Every pair of ranks, and every group of all but one, with results of its members only."""
    ranks = range(peers.size)
    members = [[a, b] for a in ranks for b in ranks if a < b] + [[r for r in ranks if r != out] for out in ranks]
    groups = [dist.new_group(list(each)) for each in members]
    for each, group in zip(members, groups, strict=True):
        if peers.rank not in each:
            continue
        tensor = peers.own("float32", 1000)
        dist.all_reduce(tensor, group=group)
        hosts = {rank: str(host) for host, there in enumerate(peers.placement) for rank in there}
        arrays = [peers.brought("float32", 1000, rank) for rank in each]
        assert_bits(tensor, reduced("float32", "sum", arrays, place([hosts[rank] for rank in each])), f"{each}")

        shown = torch.full((3,), float(peers.rank))
        dist.broadcast(shown, each[-1], group=group)
        assert torch.equal(shown, torch.full((3,), float(each[-1])))


def different_orders(peers: Peers) -> None:
    """Each rank starts its first use of the groups in an order of its own, if groups do not have to meet first."""
    groups = [dist.new_group() for _ in range(GROUPS)]
    dist.new_group()  # never used
    if torch.get_default_device().type != "cpu" and os.environ.get("SMDDP_GPU_COLLECTIVES") != "host":
        for group in groups:
            dist.all_reduce(torch.ones(1), group=group)
    order = random.Random(peers.seed + peers.rank).sample(range(GROUPS), GROUPS)
    for _ in range(5):
        tensors = {number: peers.own("float32", 100 * number + 1) for number in order}
        works = [dist.all_reduce(tensors[number], group=groups[number], async_op=True) for number in order]
        for work in works:
            work.wait()
        for number, tensor in tensors.items():
            assert_bits(tensor, peers.reduced("float32", "sum", 100 * number + 1))


def destroyed_one_by_one(peers: Peers) -> None:
    """Groups come and go; the default group does not notice."""
    for number in range(5):
        group = dist.new_group()
        tensor = peers.own("float32", 10 + number)
        dist.all_reduce(tensor, group=group)
        assert_bits(tensor, peers.reduced("float32", "sum", 10 + number))
        dist.destroy_process_group(group)
        tensor = peers.own("float32", 10)
        dist.all_reduce(tensor)
        assert_bits(tensor, peers.reduced("float32", "sum", 10))


def _connections_to_store() -> int:
    """TCP connections of this process to the port where torch's store listens."""
    own = {str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}
    port = int(os.environ["MASTER_PORT"])
    tables = [Path(f"/proc/self/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table.splitlines()[1:]]
    return sum(int(row[2].rpartition(":")[2], 16) == port and f"socket:[{row[9]}]" in own for row in rows)


def one_connection_to_the_store(peers: Peers) -> None:
    """Many groups take no more connections to the store than one, and do not wait for each other."""
    before = _connections_to_store()
    assert before > 0
    groups = [dist.new_group() for _ in range(GROUPS)]
    for number, group in enumerate(groups):
        tensor = peers.own("float32", 10 + number)
        dist.all_reduce(tensor, group=group)
        assert_bits(tensor, peers.reduced("float32", "sum", 10 + number))
    assert _connections_to_store() == before

"""What ranks do in the tests of topologies."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import numpy as np

import smddp
from smddp.topology.native import topology_hash

__all__ = ["add", "bucket_of_numpy", "bucket_of_torch", "subgroup", "tell", "tell_peers"]


def tell() -> None:
    """Meet, and print the hash, the host of each rank, and the rails of each host."""
    topology = smddp.init(timeout=20).topology
    rails = [",".join(rail.name for rail in host.rails) or "none" for host in topology.hosts]
    print(topology_hash(topology), ",".join(map(str, topology.host_of_rank)), *rails)
    smddp.shutdown()


def add(dtype: str, count: str) -> None:
    """Meet, and add arrays of two sizes."""
    world = smddp.init(timeout=20)
    for size in (int(count), int(count) + 1):
        array = np.full(size, world.rank + 1, dtype)
        world.all_reduce(array)
        assert (array == sum(range(1, world.size + 1))).all()
    smddp.shutdown()


def tell_peers() -> None:
    """Meet, and print the IPv4 addresses to which this process has connections."""
    smddp.init(timeout=20)
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            own.add(str(entry.readlink()))
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    remote = {row[2].partition(":")[0] for row in rows if f"socket:[{row[9]}]" in own and row[3] == "01"}
    print(*sorted(socket.inet_ntoa(bytes.fromhex(address)[::-1]) for address in remote))
    smddp.shutdown()


def subgroup(timeout: str) -> None:
    """Through torch: all ranks, then those with odd numbers alone."""
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    import smddp.torch  # noqa: F401 (registers the backend)

    dist.init_process_group("smddp", timeout=timedelta(seconds=float(timeout)))
    odd = dist.new_group(list(range(1, dist.get_world_size(), 2)))
    tensor = torch.full((3,), float(dist.get_rank()))
    if dist.get_rank() % 2:
        dist.all_reduce(tensor, group=odd)
    dist.barrier()
    print(*tensor.tolist())
    dist.destroy_process_group()
    sys.stdout.flush()


def bucket_of_numpy() -> None:
    """Meet, and print how many MiB of gradients should travel together."""
    print(smddp.init(timeout=20).bucket_bytes / (1 << 20))
    smddp.shutdown()


def bucket_of_torch() -> None:
    """The same through torch, before anything else; both modules' DistributedDataParallel use it."""
    import torch
    import torch.distributed as dist

    import smddp.torch
    from smddp.torch.ddp import DistributedDataParallel

    dist.init_process_group("smddp")
    older = DistributedDataParallel(torch.nn.Linear(2, 2))
    size = smddp.torch.bucket_cap_mb()
    assert older._options.bucket_cap_bytes == size * (1 << 20)
    torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2), bucket_cap_mb=size)
    print(size)
    dist.destroy_process_group()
    sys.stdout.flush()

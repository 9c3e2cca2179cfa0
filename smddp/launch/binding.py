"""Which processors of its host a rank may use. The kernel hands the choice down to threads and children."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from smddp.errors import SMDDPConfigError
from smddp.identity import Identity

__all__ = ["bind", "choose", "read_groups"]

_CPUS = "/sys/devices/system/cpu"
_NODES = "/sys/devices/system/node"

Processors = frozenset[int]


def bind(how: str, identity: Identity) -> None:
    """Keep this process to its share of the processors it was given.

    Args:
        how: "core": an equal run of cores for each rank of the host, with all threads of a core; "numa": the cores
            of one memory node, nodes shared out evenly among the ranks in order.
        identity: of this rank; its place on the host must be known.

    Raises:
        SMDDPConfigError: it is not, or the host does not let us.
    """
    if not (identity.local_known and identity.local_size_known):
        msg = f"rank {identity.rank}: --bind {how}: the launcher does not tell how many ranks this host has"
        raise SMDDPConfigError(msg)
    usable = frozenset(os.sched_getaffinity(0))
    groups = read_groups(_CPUS if how == "core" else _NODES, usable)
    try:
        os.sched_setaffinity(0, choose(groups, identity.local_rank, identity.local_size))
    except OSError as error:
        msg = f"rank {identity.rank}: --bind {how}: {error.strerror}"
        raise SMDDPConfigError(msg) from error


def choose(groups: Sequence[Processors], local_rank: int, local_size: int) -> Processors:
    """The processors of one rank: neighbouring groups, as many for each; where ranks are more, some share one. Pure."""
    first = local_rank * len(groups) // local_size
    end = max((local_rank + 1) * len(groups) // local_size, first + 1)
    return frozenset().union(*groups[first:end])


def read_groups(folder: str, usable: Processors) -> list[Processors]:
    """The usable processors, by core or by memory node, in order; all in one group where the kernel does not tell."""
    file = "topology/thread_siblings_list" if folder == _CPUS else "cpulist"
    found = set()
    try:
        names = os.listdir(folder)  # noqa: PTH208 (start-up)
    except OSError:
        return [usable]
    for name in names:
        if name[-1:].isdigit():
            with contextlib.suppress(OSError):  # a processor that is off has no place
                found.add(_parse_list(_read(f"{folder}/{name}/{file}")) & usable)
    groups = sorted((group for group in found if group), key=min)
    return groups if frozenset().union(*groups) == usable else [usable]


def _parse_list(text: str) -> Processors:
    """``0-3,8`` as numbers."""
    processors: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        processors.update(range(int(first), int(last or first) + 1))
    return frozenset(processors)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 (start-up)
        return file.read()

"""Collectives on registered memory: the same bits as on ordinary memory, whichever ranks use which."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest
from conformance.cases import BLOCKWISE, COLLECTIVES, REDUCING, ROOTED, Case, Play, Values, buffers_of, submit
from conformance.conftest import Worlds

from smddp import _core

#: Elements: more than 64 KiB in every dtype below, more than one turn of a share, and some results past 4 MiB.
COUNT = 360_007


def mixes(world: int) -> tuple[range, ...]:
    """Which ranks use registered memory: all, the first, all but the last."""
    return range(world), range(1), range(world - 1)


def cases_of(collective: str, world: int) -> Iterator[Case]:
    ops = ("sum", "average", "max") if collective in REDUCING else ("sum",)
    roots = (0, world - 1) if collective in ROOTED else (0,)
    uneven = tuple(0 if rank == 1 else COUNT - 1009 * rank for rank in range(world))
    many = collective in BLOCKWISE
    dtypes = ("float32", "bfloat16", "int8")
    for number, (dtype, op, root) in enumerate(itertools.product(dtypes, ops, roots)):
        yield Case(
            collective=collective,
            dtype=dtype,
            op=op,
            root=root,
            count=0 if many else COUNT,
            counts=uneven if many else (),
            in_place=number % 2 == 1 and collective != "all_to_all",
            synchronous=number % 3 != 1,
        )


def run(communicator: _core.Communicator, plays: Sequence[Play], values: Values) -> None:
    rank, world = communicator.rank, communicator.world
    for play, users in itertools.product(plays, mixes(world)):
        buffers = buffers_of(play.case, values, rank, registered=rank in users)
        assert submit(communicator, play.case, buffers).wait()
        play.check(buffers, rank)


@pytest.mark.parametrize("collective", [name for name in COLLECTIVES if name != "barrier"])
@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("fabric", ["shm", "two_hosts"])
def test_registered(fabric: str, size: int, collective: str, worlds: Worlds, seed: int) -> None:
    world = worlds.get(fabric, size)
    values = Values(size, seed)
    plays = values.plays(list(cases_of(collective, size)), world.placement)
    world.run(lambda communicator: run(communicator, plays, values))

"""The order of summation: the same bits on every rank, in every run, and on every aligned placement."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from conformance.cases import Case, Values, buffers_of, order_cases, submit
from conformance.worlds import Fabric, World

from smddp import _core

from support.oracle import Array

WORLD = 8
COUNT = 10007


def fabric_of(ranks_per_host: int) -> Fabric:
    name = f"{WORLD // ranks_per_host} hosts of {ranks_per_host}"
    return Fabric(name, "auto", lambda rank, _: str(rank // ranks_per_host))


def results(fabric: Fabric, values: Values, dtype: str) -> list[list[Array]]:
    """By rank and case."""

    def body(communicator: _core.Communicator) -> list[Array]:
        got = []
        for case in order_cases(dtype, COUNT):
            buffers = buffers_of(case, values, communicator.rank)
            submit(communicator, case, buffers).wait()
            got.append(buffers.target)
        return got

    world = World(fabric, WORLD)
    try:
        return world.run(body)
    finally:
        world.close()


def bits(results: list[list[Array]]) -> list[list[bytes]]:
    return [[array.tobytes() for array in of_rank] for of_rank in results]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_aligned_placements_agree(dtype: str, seed: int) -> None:
    values = Values(WORLD, seed)
    outcomes = [bits(results(fabric_of(ranks), values, dtype)) for ranks in (8, 4, 2, 1)]
    assert all(a == b for a, b in pairwise(outcomes))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_agree_on_all_ranks_and_run_to_run(dtype: str, seed: int) -> None:
    values = Values(WORLD, seed)
    for ranks_per_host in (8, 4):
        first, again = (results(fabric_of(ranks_per_host), values, dtype) for _ in range(2))
        assert bits(first) == bits(again)
        all_reduced = [of_rank[0].tobytes() for of_rank in first]
        assert len(set(all_reduced)) == 1


def test_the_order_is_visible(seed: int) -> None:
    """The values would show another order: adding from left to right gives other bits."""
    values = Values(WORLD, seed)
    case = Case(collective="all_reduce", count=COUNT)
    arrays = [values.of(case, rank) for rank in range(WORLD)]
    from_left = np.add.reduce(arrays)
    assert from_left.tobytes() != values.expected(case, (tuple(range(WORLD)),))[0].tobytes()

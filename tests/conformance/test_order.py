"""The order of summation: the same bits on every rank, in every run, and on every aligned placement."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from conformance.cases import Case, Values, buffers_of, order_cases, submit
from conformance.worlds import Fabric, World

from smddp import _core

from support.oracle import Array

WORLD = 8
COUNT = 10007
ALL_REDUCES = ("mesh", "one_step", "doubling", "halving", "ring", "tree", "double_tree")
REDUCES = ("mesh", "tree", "scatter_gather")


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


def chosen(algorithm: str, order: str = "canonical") -> Fabric:
    """Four hosts, and every reduction by one algorithm, where it has that."""
    known = {"all_reduce": ALL_REDUCES, "reduce_scatter": ("mesh", "halving", "ring"), "reduce": REDUCES}
    choice = ",".join(f"{collective}={algorithm}" for collective, names in known.items() if algorithm in names)
    return dataclasses.replace(fabric_of(2), algorithm=choice, order=order)


@pytest.mark.parametrize("algorithm", ["one_step", "doubling", "halving", "tree", "scatter_gather"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_canonical_algorithms_agree(dtype: str, algorithm: str, seed: int) -> None:
    values = Values(WORLD, seed)
    by_mesh, by_other = (bits(results(chosen(name), values, dtype)) for name in ("mesh", algorithm))
    assert by_other == by_mesh


@pytest.mark.parametrize("algorithm", ["ring", "double_tree"])
def test_other_orders_are_used_only_where_any_will_do(algorithm: str, seed: int) -> None:
    values = Values(WORLD, seed)
    by_mesh = bits(results(chosen("mesh"), values, "float32"))
    assert bits(results(chosen(algorithm), values, "float32")) == by_mesh
    freed, again = (bits(results(chosen(algorithm, "any"), values, "float32")) for _ in range(2))
    assert freed == again
    assert len({of_rank[0] for of_rank in freed}) == 1  # of all_reduce
    assert freed[0][0] != by_mesh[0][0]


def test_the_order_is_visible(seed: int) -> None:
    """The values would show another order: adding from left to right gives other bits."""
    values = Values(WORLD, seed)
    case = Case(collective="all_reduce", count=COUNT)
    arrays = [values.of(case, rank) for rank in range(WORLD)]
    from_left = np.add.reduce(arrays)
    assert from_left.tobytes() != values.expected(case, (tuple(range(WORLD)),))[0].tobytes()

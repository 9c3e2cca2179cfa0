"""SMDDP_PARTIALS=fp32: sums of 16-bit floats are rounded once, so aligned placements agree for them too."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from conformance.cases import Case, Values, buffers_of, order_cases, partial_cases, submit
from conformance.plays import run_one_by_one
from conformance.test_order import ALL_REDUCES, COUNT, WORLD, bits, chosen, fabric_of, results
from conformance.worlds import FABRICS, Fabric, World, skip_without

from smddp import _core

from support.oracle import Array

HALVES = ("float16", "bfloat16")


def wide(fabric: Fabric, transport: str = "auto") -> Fabric:
    return dataclasses.replace(fabric, transport=transport, partials="fp32")


@pytest.mark.parametrize("transport", ["auto", "shm+inproc", "shm+ofi"])
@pytest.mark.parametrize("dtype", HALVES)
def test_aligned_placements_agree(dtype: str, transport: str, seed: int) -> None:
    skip_without(transport.removeprefix("shm+"))
    values = Values(WORLD, seed)
    outcomes = [bits(results(wide(fabric_of(ranks), transport), values, dtype)) for ranks in (8, 4, 2, 1)]
    assert all(a == b for a, b in pairwise(outcomes))
    one_host = (tuple(range(WORLD)),)
    expected = [values.expected(case, one_host) for case in order_cases(dtype, COUNT)]
    assert outcomes[0] == [[of_case[rank].tobytes() for of_case in expected] for rank in range(WORLD)]


@pytest.mark.parametrize("dtype", HALVES)
def test_native_ones_do_not_agree(dtype: str, seed: int) -> None:
    """The values would show a second rounding."""
    values = Values(WORLD, seed)
    one_host, two_hosts = (bits(results(fabric_of(ranks), values, dtype)) for ranks in (8, 4))
    assert one_host[0][0] != two_hosts[0][0]


@pytest.mark.parametrize("ranks_per_host", [1, 2])
@pytest.mark.parametrize("algorithm", [*ALL_REDUCES, "scatter_gather"])
def test_algorithms_agree(algorithm: str, ranks_per_host: int, seed: int) -> None:
    """Those that add in another order are replaced, or are their own."""
    values = Values(WORLD, seed)
    by_mesh = bits(results(wide(chosen("mesh")), values, "bfloat16"))
    fabric = dataclasses.replace(wide(chosen(algorithm)), host=fabric_of(ranks_per_host).host)
    assert bits(results(fabric, values, "bfloat16")) == by_mesh


@pytest.mark.parametrize("size", [2, 3, 4, 7])
@pytest.mark.parametrize("fabric", ["inproc", "ofi", "shm", "two_hosts", "round_robin"])
@pytest.mark.parametrize("dtype", HALVES)
def test_results(dtype: str, fabric: str, size: int, seed: int) -> None:
    """Uneven hosts and single ranks too, against the oracle."""
    over = wide(FABRICS[fabric], FABRICS[fabric].transport)
    values = Values(size, seed)
    plays = values.plays(list(partial_cases(dtype, size)), over.placement(size), "fp32")
    world = World(over, size)
    try:
        world.run(lambda communicator: run_one_by_one(communicator, plays, values))
    finally:
        world.close()


@pytest.mark.parametrize("order", ["canonical", "any"])
def test_registered_memory_and_segments(order: str, seed: int) -> None:
    """Large enough for native steps on registered memory, and for an all_reduce in segments."""
    cases = [
        Case(collective="all_reduce", dtype="bfloat16", op="average", count=700_001, in_place=True),
        Case(collective="reduce_scatter", dtype="float16", op="sum", counts=(100_003, 0, 90_001, 7)),
        Case(collective="reduce", dtype="bfloat16", op="product", root=3, count=300_007),
    ]
    over = dataclasses.replace(wide(fabric_of(2)), order=order)
    values = Values(4, seed)
    plays = values.plays(cases, over.placement(4), "fp32")
    world = World(over, 4)

    def body(communicator: _core.Communicator) -> None:
        for play in plays:
            buffers = buffers_of(play.case, values, communicator.rank, registered=True)
            assert submit(communicator, play.case, buffers).wait()
            play.check(buffers, communicator.rank)

    try:
        world.run(body)
    finally:
        world.close()


def test_sums_that_only_float16_overflows(seed: int) -> None:
    """Partial sums above 65504 are no reason for the average to be infinite."""
    case = Case(collective="all_reduce", dtype="float16", op="average", count=5)

    class Large(Values):
        def of(self, case: Case, rank: int) -> Array:
            array = super().of(case, rank).copy()
            array[:] = 40000 + 64 * rank
            return array

    values = Large(4, seed)
    for partials, is_infinite in (("native", True), ("fp32", False)):
        over = dataclasses.replace(fabric_of(2), partials=partials)
        world = World(over, 4)

        def body(communicator: _core.Communicator) -> Array:
            buffers = buffers_of(case, values, communicator.rank)
            assert submit(communicator, case, buffers).wait()
            return buffers.target

        try:
            got = world.run(body)
        finally:
            world.close()
        assert all((array == (float("inf") if is_infinite else 40096)).all() for array in got)

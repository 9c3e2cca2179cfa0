"""The pure part of gradient averaging: which parameters share a bucket, and where in it they lie."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402 - torch first: without it there is nothing to test
from hypothesis import strategies as st  # noqa: E402

from smddp.torch.agreement import explain_difference  # noqa: E402
from smddp.torch.buckets import FIRST_BUCKET_BYTES, BucketPlan, ParameterSpec, plan_buckets  # noqa: E402

CPU = torch.device("cpu")
MIB = 1024 * 1024
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128]


def specs(*parameters: tuple[tuple[int, ...], torch.dtype]) -> list[ParameterSpec]:
    return [ParameterSpec(index, shape, dtype, CPU) for index, (shape, dtype) in enumerate(parameters)]


def indices(buckets: list[BucketPlan]) -> list[list[int]]:
    return [[slot.spec.index for slot in bucket.slots] for bucket in buckets]


def test_order_is_that_of_backward() -> None:
    assert indices(plan_buckets(specs(*[((2,), torch.float32)] * 4), MIB)) == [[3, 2, 1, 0]]


def test_caps() -> None:
    tenth = (26_000,)  # of a MiB, in float32
    plans = plan_buckets(specs(*[(tenth, torch.float32)] * 40), 2 * MIB)
    assert [len(bucket.slots) for bucket in plans] == [10, 20, 10]
    assert plans[0].length * 4 <= FIRST_BUCKET_BYTES < plans[1].length * 4 <= 2 * MIB


def test_a_parameter_above_the_cap_has_a_bucket_of_its_own() -> None:
    small, large = ((3,), torch.float32), ((MIB,), torch.float32)
    assert indices(plan_buckets(specs(small, large, small, large), MIB)) == [[3], [2], [1], [0]]


def test_dtypes_are_apart_and_launch_order_follows_backward() -> None:
    single, double = ((2,), torch.float32), ((2,), torch.float64)
    plans = plan_buckets(specs(single, double, single, double, single), MIB)
    assert indices(plans) == [[3, 1], [4, 2, 0]]


def test_complex_travels_as_pairs_of_reals_at_even_offsets() -> None:
    plans = plan_buckets(specs(((2, 3), torch.complex64), ((3,), torch.float32)), MIB)
    assert len(plans) == 1
    assert plans[0].dtype is torch.float32
    assert [(slot.offset, slot.length) for slot in plans[0].slots] == [(0, 3), (4, 12)]


@given(
    parameters=st.lists(
        st.tuples(st.lists(st.integers(0, 40), max_size=3).map(tuple), st.sampled_from(DTYPES)), max_size=30
    ),
    cap=st.integers(1, 4000),
)
def test_any_plan_holds_each_parameter_once_without_overlap(
    parameters: list[tuple[tuple[int, ...], torch.dtype]], cap: int
) -> None:
    plans = plan_buckets(specs(*parameters), cap)
    assert sorted(index for bucket in indices(plans) for index in bucket) == list(range(len(parameters)))
    last = [bucket.slots[-1].spec.index for bucket in plans]
    assert last == sorted(last, reverse=True)
    for bucket in plans:
        end = 0
        for slot in bucket.slots:
            assert slot.offset >= end
            end = slot.offset + slot.length
            width = 2 if slot.spec.dtype.is_complex else 1
            assert slot.length == math.prod(slot.spec.shape) * width
            assert slot.offset % width == 0
            assert slot.spec.dtype.to_real() is bucket.dtype
        assert bucket.length == end
        filled = [slot for slot in bucket.slots if slot.length]
        assert len(filled) <= 1 or end * bucket.dtype.itemsize <= cap + 8 * len(filled)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ([("a", "x"), ("b", "z")], "b has z on rank 2, but y on rank 0"),
        ([("a", "x")], "rank 2 lacks b, which rank 0 has"),
        ([("a", "x"), ("b", "y"), ("c", "w")], "rank 2 has c, which rank 0 lacks"),
        ([("a", "x"), ("c", "y")], "rank 2 has c where rank 0 has b"),
    ],
)
def test_differences_in_words(other: list[tuple[str, str]], sentence: str) -> None:
    assert explain_difference(2, [("a", "x"), ("b", "y")], other) == sentence

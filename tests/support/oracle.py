"""What the collectives must give, computed in plain NumPy and bit for bit.

Arrays are one-dimensional. dtypes go by the engine's names. NumPy has no bfloat16 and no float8; their bits are held
in uint16 and uint8.
A placement is the ranks of each host: ranks ascending, hosts ordered by their lowest rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "COMPLEX",
    "DTYPES",
    "FLOAT8",
    "FLOATS",
    "INTEGERS",
    "MOVED_ONLY",
    "OPS",
    "Array",
    "Placement",
    "is_defined",
    "place",
    "random_values",
    "reduced",
    "storage",
]

Array = npt.NDArray[Any]
Placement = tuple[tuple[int, ...], ...]

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*FLOATS, *INTEGERS, "bool")
#: Moved and never computed with.
COMPLEX = ("complex64", "complex128")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
MOVED_ONLY = (*COMPLEX, *FLOAT8)
OPS = ("sum", "product", "min", "max", "average", "and", "or", "xor")

Combine = Callable[[Array, Array], Array]

_NUMBERS: dict[str, Combine] = {
    "sum": np.add,
    "product": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}
_BOOLS: dict[str, Combine] = {
    "sum": np.logical_or,
    "max": np.logical_or,
    "or": np.logical_or,
    "product": np.logical_and,
    "min": np.logical_and,
    "and": np.logical_and,
    "xor": np.logical_xor,
}


def is_defined(op: str, dtype: str) -> bool:
    """Whether the operation means something on this dtype."""
    if dtype in MOVED_ONLY:
        return False
    if dtype == "bool":
        return op in _BOOLS
    return dtype in INTEGERS or op not in ("and", "or", "xor")


def storage(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype that holds elements of the engine's `dtype`."""
    if dtype in FLOAT8:
        return np.dtype("uint8")
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)


def place(hosts: Sequence[str]) -> Placement:
    """The placement of ranks whose hosts have these names."""
    ranks: dict[str, list[int]] = {}
    for rank, host in enumerate(hosts):
        ranks.setdefault(host, []).append(rank)
    return tuple(map(tuple, ranks.values()))


def random_values(dtype: str, count: int, generator: np.random.Generator) -> Array:
    """Elements whose sums and products depend on the order but neither overflow nor vanish in any float type.

    That holds for 8 ranks; products over many more overflow float16.

    Integers fill their whole range, so sums and products wrap around. With equally seeded generators, fewer
    elements are the first ones of more.
    """
    if dtype == "bool":
        return generator.integers(0, 2, count).astype(bool)
    if dtype in FLOAT8:
        return generator.integers(0, 256, count, dtype="uint8")
    if dtype in COMPLEX:
        return (generator.uniform(-2, 2, (count, 2)) @ [1, 1j]).astype(dtype)
    if dtype in INTEGERS:
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, count, dtype=dtype, endpoint=True)
    spread = generator.uniform(-1.5, 1.5, count)
    return _stored(dtype, np.copysign(0.5 + np.abs(spread), spread))


def reduced(
    dtype: str, op: str, contributions: Sequence[Array], placement: Placement, partials: str = "native"
) -> Array:
    """The reduction of one array per rank, added in the canonical order of the placement.

    First the balanced tree over the ranks of each host, then the one over hosts. 16-bit floats are added in
    float32 and rounded once at each of these levels; with `partials` "fp32" at the last one only. An average is the
    sum, divided once at the end.
    """
    divisor = len(contributions) if op == "average" else 1
    combine = (_BOOLS if dtype == "bool" else _NUMBERS)["sum" if op == "average" else op]
    computed = [_computed(dtype, array) for array in contributions]
    if len(placement) > 1:
        computed = [_tree([computed[rank] for rank in host], combine) for host in placement]
        if partials == "native":
            computed = [_computed(dtype, _stored(dtype, partial)) for partial in computed]
    whole = _tree(computed, combine)
    return _stored(dtype, _divided(whole, divisor) if divisor > 1 else whole)


def _tree(values: Sequence[Array], combine: Combine) -> Array:
    """A range of n values is cut at the largest power of two below n."""
    if len(values) == 1:
        return values[0]
    cut = 1 << ((len(values) - 1).bit_length() - 1)
    return combine(_tree(values[:cut], combine), _tree(values[cut:], combine))


def _divided(whole: Array, divisor: int) -> Array:
    if whole.dtype.kind == "f":
        return whole / whole.dtype.type(divisor)
    quotient = whole // divisor
    # Integers are truncated towards zero; NumPy rounds down.
    return quotient + ((whole < 0) & (whole % divisor != 0)).astype(whole.dtype)


def _computed(dtype: str, stored: Array) -> Array:
    """The elements in the type that sums are carried in."""
    if dtype == "float16":
        return stored.astype(np.float32)
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored


def _stored(dtype: str, computed: Array) -> Array:
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):  # float16 has no room for products over some twenty ranks: infinity is right
            return computed.astype(dtype)
    bits = computed.astype(np.float32).view(np.uint32)
    # To nearest, ties to even.
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16).astype(np.uint16)

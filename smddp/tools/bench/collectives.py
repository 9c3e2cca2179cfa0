"""What each collective is given, what it must make of it, and what it costs at least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from smddp.tools.bench.peer import Library, make_buffers

__all__ = ["Array", "Oracle", "Trial", "bus_factor", "make_oracle", "make_trial", "traffic"]

Array = npt.NDArray[Any]

_COMBINE: dict[str, Callable[[Array, Array], Array]] = {
    "sum": np.add,
    "average": np.add,
    "product": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def bus_factor(collective: str, ranks: int) -> float:
    """Busbw / algbw, as nccl-tests defines it (its PERFORMANCE.md)."""
    if collective == "all_reduce":
        return 2 * (ranks - 1) / ranks
    if collective in ("broadcast", "reduce"):
        return 1.0
    return (ranks - 1) / ranks


def traffic(collective: str, ranks: int) -> int:
    """Bytes that all ranks together must at least read and write, in units of the size.

    Every input byte is read once and every output byte written once; the size is that of the larger buffer.
    """
    if collective in ("all_reduce", "all_to_all"):
        return 2 * ranks
    if collective == "broadcast":
        return ranks
    return ranks + 1


@dataclass(frozen=True, slots=True)
class Oracle:
    """What each rank brings to a collective, and what this rank must get."""

    inputs: Callable[[int], Array]
    expected: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class Trial:
    """One collective on one set of buffers of this rank. `source` is `target` where it works in place."""

    source: Array
    target: Array
    inputs: Callable[[int], Array]
    expected: Callable[[], Array]
    call: Callable[[], object]

    def wrong(self) -> int:
        """Elements of the output that are not what they must be."""
        return int(np.count_nonzero(self.target != self.expected()))


def make_trial(library: Library, collective: str, dtype: str, op: str, size: int, *, registered: bool = False) -> Trial:
    """Buffers of about `size` bytes (at least one element a rank) and the call that uses them."""
    target, source = make_buffers(collective, dtype, size, library.size, registered=registered)
    oracle = make_oracle(collective, op, source.dtype, source.size, library.rank, library.size)
    call = library.call(collective, target, source, op)
    return Trial(source, target, oracle.inputs, oracle.expected, call)


def make_oracle(collective: str, op: str, kind: np.dtype[Any], count: int, rank: int, ranks: int) -> Oracle:
    """What goes in and comes out, for sources of `count` elements of this kind."""
    share = slice(rank * (count // ranks), (rank + 1) * (count // ranks))

    def inputs(of: int) -> Array:
        return _values(of, count, ranks, kind, op)

    def reduced() -> Array:
        total = reduce(_COMBINE[op], (inputs(of) for of in range(ranks)))
        return _divided(total, ranks) if op == "average" else total

    expected: dict[str, Callable[[], Array]] = {
        "all_reduce": reduced,
        "reduce": reduced if rank == 0 else lambda: inputs(rank),
        "broadcast": lambda: inputs(0),
        "all_gather": lambda: np.concatenate([inputs(of) for of in range(ranks)]),
        "reduce_scatter": lambda: reduced()[share],
        "all_to_all": lambda: np.concatenate([inputs(of)[share] for of in range(ranks)]),
    }
    return Oracle(inputs, expected[collective])


def _values(rank: int, count: int, ranks: int, kind: np.dtype[Any], op: str) -> Array:
    # Small whole numbers, so that every order of addition gives the same bits in every dtype.
    index = np.arange(66 * ranks)  # a period of all of these
    values = (index * 3 + rank * 5) % 11
    if op == "product":
        values = np.where(index % ranks == rank, 1 + index // ranks % 2, 1)
    elif kind == np.bool_:
        values = (index + rank) % 3 == 0
    return np.resize(values.astype(kind), count)


def _divided(total: Array, ranks: int) -> Array:
    quotient = total.astype(np.float64) / ranks
    if np.issubdtype(total.dtype, np.integer):
        quotient = np.trunc(quotient)
    return np.asarray(quotient, total.dtype)

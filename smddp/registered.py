"""Arrays in memory that all ranks of a host can reach."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from smddp import _core
from smddp.dtypes import dtype_of
from smddp.errors import SMDDPArgumentError

__all__ = ["allocate", "empty_registered", "sizes_of"]


def empty_registered(
    shape: SupportsIndex | Sequence[SupportsIndex], dtype: npt.DTypeLike = np.float64
) -> npt.NDArray[Any]:
    """A new C-contiguous array, not initialised, in memory that the other ranks of this host can reach.

    A large collective whose arrays lie in such memory on every rank of the host reads and writes them where they
    are; otherwise they go through staging memory. The result has the same bits either way. Worth it for arrays of
    64 KiB or more that are used again and again: whole pages are taken, and given back when the last view of the
    array is gone.

    When a collective fails, peers stop writing to its arrays before the error is raised. Only a process that was
    stopped in the middle of it (SIGSTOP) may write to them once more when it goes on.

    This is no collective call: any rank may make any number of such arrays at any time, also before `smddp.init`, and
    use them after `smddp.shutdown`. A child made by fork() sees in it what its parent last
    wrote, until it writes there itself; what it writes is its own.

    Args:
        shape: number of elements along each axis, or one number.
        dtype: as in `numpy.empty`; one that collectives can move.

    Raises:
        SMDDPArgumentError: a bad shape or dtype, or no room: a process has as much of this memory as the machine has
            memory at all, and none when its address space or files are limited (ulimit -v, -f).
    """
    sizes = sizes_of("shape", shape)
    kind = _known_dtype(dtype)
    if 0 in sizes:  # peers need nothing of it
        return np.empty(sizes, kind)
    block = allocate(math.prod(sizes) * kind.itemsize)
    array: npt.NDArray[Any] = np.ndarray(sizes, kind, buffer=memoryview(block))
    return array


def allocate(nbytes: int) -> _core.RegisteredBlock:
    """So many bytes of registered memory; raises SMDDPArgumentError when there is no room."""
    if nbytes > sys.maxsize:
        msg = f"no room for {nbytes} bytes of registered memory"
        raise SMDDPArgumentError(msg)
    return _core.RegisteredBlock(nbytes)


def sizes_of(argument: str, shape: Any) -> tuple[int, ...]:
    """The lengths of a shape, given as one number or several; raises SMDDPArgumentError, naming the argument."""
    sizes: tuple[int, ...] = (-1,)
    with suppress(TypeError):  # no number
        sizes = (operator.index(shape),)
    if sizes == (-1,) and not isinstance(shape, str):
        with suppress(TypeError):  # no numbers either
            sizes = tuple(operator.index(size) for size in shape)
    if any(size < 0 for size in sizes):
        msg = f"{argument}: expected whole numbers that are not negative, got {shape!r}"
        raise SMDDPArgumentError(msg)
    return sizes


def _known_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError as problem:
        msg = f"dtype: {problem}"
        raise SMDDPArgumentError(msg) from None
    dtype_of(np.empty(0, kind))
    return kind

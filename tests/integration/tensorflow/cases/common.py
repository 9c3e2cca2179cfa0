"""What the ranks of these cases share: joining, values, and comparing tensors with the oracle bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

import smddp.tensorflow as sdp

from support.cases import run_cases
from support.oracle import Array, place, random_values, reduced

__all__ = ["MOVED", "REDUCED", "Peers", "assert_bits", "both_ways", "run", "to_array", "to_tensor"]

REDUCED = ("float64", "float32", "float16", "bfloat16", "int8", "uint8", "int32", "int64")
MOVED = (*REDUCED, "bool")


class Peers:
    """The world as the oracle sees it: what each rank brings."""

    def __init__(self, seed: int) -> None:
        self.rank, self.size = sdp.rank(), sdp.size()
        self.seed = seed

    def brought(self, dtype: str, count: int, rank: int) -> Array:
        """What a rank brings."""
        return random_values(dtype, count, np.random.default_rng((self.seed, rank, count)))

    def own(self, dtype: str, count: int) -> tf.Tensor:
        """What this rank brings."""
        return to_tensor(dtype, self.brought(dtype, count, self.rank))

    def reduced(self, dtype: str, op: str, count: int) -> Array:
        """The reduction of what all bring."""
        arrays = [self.brought(dtype, count, rank) for rank in range(self.size)]
        return reduced(dtype, op, arrays, place([""] * self.size))


def run(module: str, seed: str) -> None:
    """Runs every case `(peers)` of a module of this folder, in one world."""
    sdp.init()
    run_cases(f"integration.tensorflow.cases.{module}", Peers(int(seed)), sdp.barrier)
    sdp.shutdown()


def both_ways(function: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """The function eagerly and as a graph."""
    return function, tf.function(function)


def to_tensor(dtype: str, array: Array) -> tf.Tensor:
    """A new tensor with the oracle's values."""
    return tf.constant(array.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else array)


def to_array(tensor: tf.Tensor) -> Array:
    """The tensor's elements as the oracle holds them, in one dimension."""
    array = tf.convert_to_tensor(tensor).numpy().reshape(-1)
    return array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array


def assert_bits(tensor: tf.Tensor, expected: Array, what: str = "") -> None:
    """Raises AssertionError unless the tensor holds exactly these bits."""
    got, expected = to_array(tensor), expected.reshape(-1)
    assert got.dtype == expected.dtype, f"{what}: {got.dtype} is not {expected.dtype}"
    assert got.tobytes() == expected.tobytes(), f"{what}: {got} is not {expected}"

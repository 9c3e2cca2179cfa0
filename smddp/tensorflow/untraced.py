"""Keeping AutoGraph away from code of our own, which needs no conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import tensorflow as tf

__all__ = ["as_written"]

F = TypeVar("F", bound=Callable[..., Any])


def as_written(function: F) -> F:
    """The function, which runs as it is written when a tf.function is traced through it."""
    return cast(F, tf.autograph.experimental.do_not_convert(function))

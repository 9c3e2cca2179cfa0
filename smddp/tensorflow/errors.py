"""The exceptions of smddp as the functions of `smddp.tensorflow` raise them.

Inside a tf.function TensorFlow raises its own (`tf.errors.OpError`), whose message holds the same sentence after the
name of our class.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from smddp import errors, runtime
from smddp.collectives import told_by
from smddp.identity import read_identity

__all__ = ["call", "failure"]

_OURS = re.compile(r"\b(SMDDP\w*Error): (.*?)(?: \[Op:\w+\].*)?$", re.DOTALL)


def failure(cls: type[errors.SMDDPError], problem: str) -> errors.SMDDPError:
    """The exception of class `cls` for a failure found in Python; it begins with rank and host, as the engine's do."""
    return cls(told_by(_rank(), problem))


def call(op: Callable[..., Any], *tensors: Any, **attributes: Any) -> Any:
    """Run or build a native op; run eagerly, it fails with an exception of `smddp.errors`."""
    try:
        result = op(*tensors, **attributes)
    except tf.errors.OpError as error:
        translated = _translated(error.message)
        if translated is None:
            raise
        raise translated from None
    if not tf.executing_eagerly():
        _keep(result)
    return result


def _keep(result: Any) -> None:
    # The other ranks wait for this op, whether its result is used here or not. And no iteration of a loop starts before
    # what has to run in the one before has ended, so each meets the same iteration on the other ranks.
    graph = tf.compat.v1.get_default_graph()
    if isinstance(result, (list, tuple)):
        result = result[0]
    if graph.building_function:
        graph.control_outputs.append(result if isinstance(result, tf.Operation) else result.op)


def _translated(message: str) -> errors.SMDDPError | None:
    found = _OURS.search(message)
    cls = getattr(errors, found[1], None) if found else None
    return cls(found[2]) if found and cls is not None else None


def _rank() -> int:
    if runtime.is_initialized():
        return runtime.get_communicator().rank
    try:
        return read_identity(os.environ).rank
    except errors.SMDDPError:
        return 0  # an unreadable environment is an error of its own, and must not hide the one at hand

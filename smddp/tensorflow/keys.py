"""Keys: by them the ranks know which of their ops belong together, in whatever order each executes its own.

The n-th execution of a key on one rank meets the n-th on the others. Eagerly the program's order says it all, so a
key is just the name of the function. In a graph it is the op's position among the communicating ops of the outermost
tf.function, with that function's name: equal on all ranks, also when one traces again for another shape. Names that
TensorFlow makes up are no part of it: it counts them over the whole process, and ranks may build different things.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from smddp.errors import SMDDPArgumentError
from smddp.tensorflow.errors import failure

__all__ = ["derived_key", "make_key"]

_used: weakref.WeakKeyDictionary[Any, Counter[str]] = weakref.WeakKeyDictionary()


def make_key(kind: str, name: str | None = None) -> str:
    """The key of a new op of function `kind`, to which the user may have given a name.

    Raises:
        SMDDPArgumentError: the op would become part of a function that XLA compiles.
    """
    base = kind if name is None else f"{kind}/{name}"
    if tf.executing_eagerly():
        return base
    graph = _outermost_graph(kind)
    function = getattr(graph, "name", "")
    # Functions that TensorFlow makes of others, to run them backward, are numbered.
    prefix = f"{function}/" if function and not function.startswith("__") else ""
    return f"{prefix}{base}/{_count(graph, base)}"


def derived_key(key: str, purpose: str) -> str:
    """The key of an op that belongs to the op with this key: one of its gradient."""
    base = f"{key}/{purpose}"
    if tf.executing_eagerly():
        return base
    number = _count(_outermost_graph(purpose), base)
    return f"{base}/{number}" if number else base


def _count(graph: Any, base: str) -> int:
    counts = _used.setdefault(graph, Counter())
    counts[base] += 1
    return counts[base] - 1


def _outermost_graph(caller: str) -> Any:
    # Branches, loops and functions inside share the count, as their ops may run at the same time.
    graph: Any = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
        msg = f"{caller}: XLA cannot compile communication; set jit_compile=False in tf.function or model.compile"
        raise failure(SMDDPArgumentError, msg)
    while getattr(graph, "outer_graph", None) is not None and _is_traced(graph.outer_graph):
        graph = graph.outer_graph
    return graph


def _is_traced(graph: Any) -> bool:
    # A tf.function called eagerly has the empty default graph around it.
    return hasattr(graph, "outer_graph")

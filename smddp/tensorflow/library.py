"""The native ops, loaded once. Built against one minor version of TensorFlow, and refused by others."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import auto_control_deps, op_def_registry

from smddp import _core

__all__ = ["OPS", "register_gpu_kernels"]

_BUILD_HINT = "build smddp in an environment that has the TensorFlow to use (pip install --no-build-isolation smddp)"


def _path() -> str:
    found = sorted(Path(_core.__file__).parent.glob("_tf*.so"))
    if not found:
        msg = f"smddp was built without TensorFlow; {_BUILD_HINT}"
        raise ImportError(msg)
    return str(found[0])


def _load() -> Any:
    path = _path()
    try:
        library = tf.load_op_library(path)
    except tf.errors.OpError as error:
        # A symbol that this TensorFlow lacks: nothing was registered.
        msg = f"smddp's ops were built for another TensorFlow than {tf.__version__}; {_BUILD_HINT} ({error.message})"
        raise ImportError(msg) from None
    built_for = _built_for()
    if _minor(built_for) != _minor(tf.__version__):
        msg = f"smddp's ops were built for TensorFlow {built_for}, this is {tf.__version__}; {_BUILD_HINT}"
        raise ImportError(msg)
    return library


@functools.cache
def register_gpu_kernels() -> None:
    """Let the ops work on the memory of TensorFlow's GPU, which has to be CUDA's. For good."""
    ctypes.CDLL(_path()).smddp_register_gpu_kernels()


def _built_for() -> str:
    # Read from the op's definition, not by running it: an op run here would make TensorFlow set up its devices, and
    # scripts choose theirs by rank, after init().
    version: bytes = op_def_registry.get("SmddpBuiltFor").attr[0].default_value.s
    return version.decode()


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


# Stateful, so that TensorFlow neither computes them once for all when their tensors are constants, nor leaves out those
# whose results nobody uses: other ranks wait for them. But they need not run one after the other as it makes the
# stateful ops of a function do: keys tell them apart, and gradients are to be reduced while others are computed.
auto_control_deps.ASYNC_STATEFUL_OPS |= {
    "SmddpAllGather",
    "SmddpAllReduce",
    "SmddpAllToAll",
    "SmddpBroadcast",
    "SmddpReduceScatter",
}

#: The functions `smddp_...` that TensorFlow makes of the ops (native/adapters/tensorflow/module.cc).
OPS = _load()

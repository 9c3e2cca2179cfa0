"""Element types and reduction operations by the names users write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smddp import _core
from smddp.errors import SMDDPArgumentError

__all__ = ["DTYPES", "OPS", "dtype_of", "reduce_op"]

DTYPES = {
    "float64": _core.DType.float64,
    "float32": _core.DType.float32,
    "float16": _core.DType.float16,
    "bfloat16": _core.DType.bfloat16,  # NumPy knows it by the ml_dtypes package
    "int8": _core.DType.int8,
    "int16": _core.DType.int16,
    "int32": _core.DType.int32,
    "int64": _core.DType.int64,
    "uint8": _core.DType.uint8,
    "uint16": _core.DType.uint16,
    "uint32": _core.DType.uint32,
    "uint64": _core.DType.uint64,
    "bool": _core.DType.bool,
    # These are moved, and never computed with. float8 is ml_dtypes' too.
    "complex64": _core.DType.complex64,
    "complex128": _core.DType.complex128,
    "float8_e4m3fn": _core.DType.float8_e4m3fn,
    "float8_e5m2": _core.DType.float8_e5m2,
    "float8_e4m3fnuz": _core.DType.float8_e4m3fnuz,
    "float8_e5m2fnuz": _core.DType.float8_e5m2fnuz,
    "float8_e8m0fnu": _core.DType.float8_e8m0fnu,
}

OPS = {
    "sum": _core.ReduceOp.sum,
    "product": _core.ReduceOp.product,
    "min": _core.ReduceOp.min,
    "max": _core.ReduceOp.max,
    "average": _core.ReduceOp.average,
    "and": _core.ReduceOp.bitwise_and,
    "or": _core.ReduceOp.bitwise_or,
    "xor": _core.ReduceOp.bitwise_xor,
}


def dtype_of(array: npt.NDArray[np.generic]) -> _core.DType:
    """The engine's name for the array's element type; raises SMDDPArgumentError for others."""
    if not array.dtype.isnative:
        msg = f"dtype {array.dtype} has foreign byte order; convert with .astype(dtype.newbyteorder('='))"
        raise SMDDPArgumentError(msg)
    try:
        return DTYPES[array.dtype.name]
    except KeyError:
        msg = f"dtype {array.dtype} is not supported; use one of {', '.join(DTYPES)}"
        raise SMDDPArgumentError(msg) from None


def reduce_op(name: object) -> _core.ReduceOp:
    """The operation of that name; raises SMDDPArgumentError for others."""
    if not isinstance(name, str) or name not in OPS:
        msg = f"op {name!r} is not one of {', '.join(OPS)}"
        raise SMDDPArgumentError(msg)
    return OPS[name]

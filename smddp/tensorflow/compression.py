"""What values are converted to for the way between the ranks."""

from __future__ import annotations

from typing import Any, Protocol

import tensorflow as tf

__all__ = ["BF16Compression", "Compression", "Compressor", "FP16Compression", "NoneCompression"]


class Compressor(Protocol):
    """Converts a tensor before a collective, and its result back."""

    def compress(self, tensor: Any) -> tuple[Any, Any]:
        """The tensor to send, of the same shape, and what `decompress` needs to know."""

    def decompress(self, tensor: Any, context: Any) -> Any:
        """The result, as the tensor was before."""


class NoneCompression:
    """Sends values as they are."""

    @staticmethod
    def compress(tensor: Any) -> tuple[Any, Any]:
        """The tensor itself."""
        return tensor, None

    @staticmethod
    def decompress(tensor: Any, context: Any) -> Any:
        """The tensor itself."""
        del context
        return tensor


class FP16Compression:
    """Sends float32 and float64 as float16; values beyond 65504 become infinite."""

    @staticmethod
    def compress(tensor: Any) -> tuple[Any, Any]:
        """The tensor as float16, and its dtype."""
        return _narrowed(tensor, tf.float16)

    @staticmethod
    def decompress(tensor: Any, context: Any) -> Any:
        """The tensor in its former dtype `context`."""
        return tf.cast(tensor, context)


class BF16Compression:
    """Sends float32 and float64 as bfloat16: their range, with 8 bits of precision."""

    @staticmethod
    def compress(tensor: Any) -> tuple[Any, Any]:
        """The tensor as bfloat16, and its dtype."""
        return _narrowed(tensor, tf.bfloat16)

    @staticmethod
    def decompress(tensor: Any, context: Any) -> Any:
        """The tensor in its former dtype `context`."""
        return tf.cast(tensor, context)


class Compression:
    """The compressions there are; objects with the methods of `Compressor` serve as well."""

    none = NoneCompression
    fp16 = FP16Compression
    bf16 = BF16Compression
    NoneCompression = NoneCompression
    FP16Compression = FP16Compression


def _narrowed(tensor: Any, dtype: Any) -> tuple[Any, Any]:
    wide = tensor.dtype in (tf.float32, tf.float64)
    return (tf.cast(tensor, dtype) if wide else tensor), tensor.dtype

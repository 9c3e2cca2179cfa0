"""How gradients are shared out to all_reduces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smddp.simulation.models import Gradient

__all__ = ["Bucket", "by_bytes", "by_tensors"]

DDP_BYTES = 25 << 20
_FIRST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Bytes, and which part of backward has to be done before they are there."""

    nbytes: int
    ready: float


def by_tensors(gradients: Sequence[Gradient], width: int, cap: int = DDP_BYTES) -> list[Bucket]:
    """As torch's DistributedDataParallel: whole tensors up to `cap` bytes, the first bucket up to 1 MiB."""
    buckets: list[Bucket] = []
    filled = 0
    limit = min(_FIRST_BYTES, cap)
    for gradient, done in zip(gradients, _done(gradients), strict=True):
        filled += gradient.elements * width
        if filled >= limit:
            buckets.append(Bucket(nbytes=filled, ready=done))
            filled, limit = 0, cap
    if filled:
        buckets.append(Bucket(nbytes=filled, ready=1.0))
    return buckets


def by_bytes(gradients: Sequence[Gradient], width: int, size: int) -> list[Bucket]:
    """Balanced fusion: buckets of `size` bytes each, wherever a tensor ends; the last has what is left."""
    buckets: list[Bucket] = []
    filled = 0
    for gradient, done in zip(gradients, _done(gradients), strict=True):
        filled += gradient.elements * width
        while filled >= size:
            buckets.append(Bucket(nbytes=size, ready=done))
            filled -= size
    if filled:
        buckets.append(Bucket(nbytes=filled, ready=1.0))
    return buckets


def _done(gradients: Sequence[Gradient]) -> list[float]:
    """After each gradient, the part of backward that is done."""
    total = sum(gradient.work for gradient in gradients)
    done, so_far = [], 0.0
    for gradient in gradients:
        so_far += gradient.work
        done.append(so_far / total)
    return done

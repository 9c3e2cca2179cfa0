"""Tensors in memory that all ranks of a host can reach."""

from __future__ import annotations

import math

import torch

from smddp.errors import SMDDPArgumentError
from smddp.registered import allocate, sizes_of

__all__ = ["empty_registered"]


def empty_registered(*size: int | tuple[int, ...] | list[int], dtype: torch.dtype | None = None) -> torch.Tensor:
    """A new contiguous CPU tensor, not initialised, in memory that the other ranks of this host can reach.

    Use it as `torch.empty`. What `smddp.empty_registered` says of arrays holds for these tensors too: collectives of
    64 KiB or more on them need no copies through staging memory when all ranks of the host use such tensors, the
    call is not collective, and a tensor may outlive its process group.

    Args:
        size: the shape, as several numbers or as one sequence.
        dtype: default `torch.get_default_dtype()`.

    Raises:
        SMDDPArgumentError: a bad size or dtype, or no room (see `smddp.empty_registered`).
    """
    shape = sizes_of("size", size[0] if len(size) == 1 else size)
    kind: object = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(kind, torch.dtype):
        msg = f"dtype: expected a torch.dtype, got {kind!r}"
        raise SMDDPArgumentError(msg)
    count = math.prod(shape)
    if count == 0:  # torch makes no tensor of an empty buffer
        return torch.empty(shape, dtype=kind)
    block = allocate(count * kind.itemsize)
    return torch.frombuffer(block, dtype=kind, count=count).view(shape)

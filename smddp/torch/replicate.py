"""Copying rank 0's tensors to all ranks in few messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist

__all__ = ["broadcast_from_rank_0"]

CHUNK_BYTES = 25 * 1024 * 1024
"""Small tensors share messages of at most this size; it bounds the extra memory."""


def broadcast_from_rank_0(tensors: Iterable[torch.Tensor]) -> None:
    """Overwrite each tensor by its bits on rank 0.

    Tensors of all dtypes share messages, as bytes. All ranks pass the same shapes and dtypes in the same
    order (see `agreement`); byte counts that differ are a mismatch error of the backend.
    """
    with torch.no_grad():
        for chunk in _chunks(tensors):
            _broadcast_chunk(chunk)


def _chunks(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    chunk: list[torch.Tensor] = []
    chunk_bytes = 0
    for tensor in tensors:
        if tensor.nbytes == 0:
            continue
        if chunk and (chunk_bytes + tensor.nbytes > CHUNK_BYTES or tensor.device != chunk[0].device):
            yield chunk
            chunk, chunk_bytes = [], 0
        chunk.append(tensor.detach())
        chunk_bytes += tensor.nbytes
    if chunk:
        yield chunk


def _broadcast_chunk(chunk: list[torch.Tensor]) -> None:
    if len(chunk) == 1 and chunk[0].is_contiguous():
        dist.broadcast(_as_bytes(chunk[0]), src=0)  # large tensors travel without a copy
        return
    message = torch.cat([_as_bytes(tensor.contiguous()) for tensor in chunk])
    dist.broadcast(message, src=0)
    if dist.get_rank() == 0:
        return
    offset = 0
    for tensor in chunk:
        # clone: a slice may start where this dtype must not, a fresh tensor never does.
        part = message[offset : offset + tensor.nbytes].clone()
        tensor.copy_(part.view(tensor.dtype).view(tensor.shape))
        offset += tensor.nbytes


def _as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(-1).view(torch.uint8)

"""What all ranks must agree on before gradients are averaged: the parameters and buffers of the module."""

from __future__ import annotations

import hashlib

import torch
import torch.distributed as dist

from smddp.errors import SMDDPMismatchError
from smddp.torch.errors import failure

__all__ = ["describe_tensors", "require_agreement"]

Entry = tuple[str, str]
"""A tensor's name, and everything about it that has to be equal on all ranks, in words."""


def describe_tensors(module: torch.nn.Module) -> list[Entry]:
    """The entries of a module's parameters and buffers, each tensor once, in registration order."""
    parameters = [
        (f"parameter '{name}'", f"{_shape(tensor)}, {'trainable' if tensor.requires_grad else 'frozen'}")
        for name, tensor in module.named_parameters()
    ]
    buffers = [(f"buffer '{name}'", _shape(tensor)) for name, tensor in module.named_buffers()]
    return parameters + buffers


def require_agreement(entries: list[Entry]) -> None:
    """Compare with all other ranks; every rank has to call this at the same time.

    Costs one small all-gather when all agree.

    Raises:
        SMDDPMismatchError: on every rank alike; names the first rank that differs from rank 0, and where.
    """
    size = dist.get_world_size()
    digest = hashlib.sha256(repr(entries).encode()).digest()
    mine = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
    digests = [torch.empty_like(mine) for _ in range(size)]
    dist.all_gather(digests, mine)
    if all(torch.equal(digests[0], other) for other in digests):
        return
    everyone: list[list[Entry]] = [[] for _ in range(size)]
    dist.all_gather_object(everyone, entries)
    culprit = next(rank for rank in range(1, size) if everyone[rank] != everyone[0])
    msg = f"the module differs between ranks: {explain_difference(culprit, everyone[0], everyone[culprit])}"
    raise failure(SMDDPMismatchError, msg)


def explain_difference(rank: int, reference: list[Entry], other: list[Entry]) -> str:
    """One sentence on the first entry where `other`, of `rank`, is not `reference`, of rank 0."""
    for (name, expected), (other_name, found) in zip(reference, other, strict=False):
        if name != other_name:
            return f"rank {rank} has {other_name} where rank 0 has {name}"
        if expected != found:
            return f"{name} has {found} on rank {rank}, but {expected} on rank 0"
    if len(other) > len(reference):
        return f"rank {rank} has {other[len(reference)][0]}, which rank 0 lacks"
    return f"rank {rank} lacks {reference[len(other)][0]}, which rank 0 has"


def _shape(tensor: torch.Tensor) -> str:
    return f"shape {tuple(tensor.shape)}, dtype {str(tensor.dtype).removeprefix('torch.')}"

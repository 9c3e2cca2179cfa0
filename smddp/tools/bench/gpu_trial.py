"""One collective on one set of buffers on this rank's GPU, and whether its result is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from smddp.tools.bench.collectives import Array, Oracle, make_oracle
from smddp.tools.bench.peer import IN_PLACE, Call, count_elements, torch_call

__all__ = ["GpuTrial", "make_gpu_trial", "tolerance"]

#: No rank brings a larger value.
_LARGEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTrial:
    """Buffers on the GPU and what belongs in them. `source` is `target` where the collective works in place."""

    collective: str
    op: str
    source: torch.Tensor
    target: torch.Tensor
    oracle: Oracle
    values: torch.Tensor
    allowed: float

    @property
    def nbytes(self) -> int:
        """Bytes of the larger buffer."""
        return max(self.source.nbytes, self.target.nbytes)

    def call(self, group: Any) -> Call:
        """The collective among the ranks of a group of torch.distributed.

        Raises:
            KeyError: torch.distributed has no such operation.
        """
        return torch_call(self.collective, self.target, self.source, self.op, group)

    def fill(self) -> None:
        """What this rank brings, and nothing that an earlier call left."""
        self.target.zero_()
        self.source.copy_(self.values)

    def clear(self) -> None:
        """Nothing but zeros go in, so that sums of sums stay finite."""
        self.source.zero_()

    def wrong(self) -> int:
        """Elements of the output that are not what they must be."""
        found, expected = _to_array(self.target), self.oracle.expected()
        if self.allowed == 0:
            return int(np.count_nonzero(found != expected))
        # NaN is not close to anything.
        close = np.abs(found.astype(np.float64) - expected.astype(np.float64)) <= self.allowed
        return int(np.count_nonzero(~close))


def make_gpu_trial(
    collective: str, dtype: str, op: str, size: int, *, device: torch.device, rank: int, ranks: int
) -> GpuTrial:
    """Buffers of about `size` bytes, the larger of them, with at least one element for each rank."""
    kind: torch.dtype = getattr(torch, dtype)
    out, into = count_elements(collective, size // kind.itemsize, ranks)
    target = torch.zeros(out, dtype=kind, device=device)
    source = target if collective in IN_PLACE else torch.zeros(into, dtype=kind, device=device)
    # NumPy has no bfloat16; these values are the same in both.
    oracle = make_oracle(collective, op, np.dtype(np.float32 if dtype == "bfloat16" else dtype), into, rank, ranks)
    return GpuTrial(
        collective=collective,
        op=op,
        source=source,
        target=target,
        oracle=oracle,
        values=torch.from_numpy(oracle.inputs(rank)).to(kind),
        allowed=tolerance(collective, kind, op, ranks),
    )


def tolerance(collective: str, kind: torch.dtype, op: str, ranks: int) -> float:
    """How far a right result may be from that of whole numbers, which every order of addition sums to the same bits.

    Nothing, but for averages of floats, which NCCL divides before it adds, and sums that leave the whole numbers which
    the type holds exactly.
    """
    reduces = collective in ("all_reduce", "reduce", "reduce_scatter")
    if not kind.is_floating_point or not reduces or op not in ("sum", "average"):
        return 0.0
    epsilon = torch.finfo(kind).eps
    if op == "average":
        return _LARGEST * ranks * epsilon
    total = _LARGEST * ranks
    return 0.0 if total <= 2 / epsilon else total * ranks * epsilon


def _to_array(tensor: torch.Tensor) -> Array:
    on_host = tensor.cpu()
    array: Array = (on_host.float() if on_host.dtype is torch.bfloat16 else on_host).numpy()
    return array

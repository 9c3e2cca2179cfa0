"""Gradient buckets: which parameters share one all-reduce (pure), and the flat memory they travel in.

A bucket's memory is `[gradients | one flag per parameter | one flag of the rank]`, all in the gradients'
dtype, so that the flags ride on the same all-reduce. After the average a flag is zero exactly when it was
zero on every rank: in every floating dtype a sum of non-negative values is zero only if all of them are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist

from smddp.errors import SMDDPError
from smddp.torch.registered import empty_registered
from smddp.torch.world import is_initialized

__all__ = ["Bucket", "BucketPlan", "ParameterSpec", "Slot", "plan_buckets"]

FIRST_BUCKET_BYTES = 1024 * 1024
"""The first bucket is small, so that communication starts early in backward (as in torch)."""


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """What the plan needs to know of one parameter. Equal on all ranks for equal `index`."""

    index: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one parameter's gradient lies: elements `[offset, offset + length)` of the bucket's dtype."""

    spec: ParameterSpec
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """One bucket: its slots in the order in which backward is expected to fill them."""

    dtype: torch.dtype
    device: torch.device
    slots: tuple[Slot, ...]
    length: int


@dataclass(slots=True)
class _Open:
    """A bucket that still takes parameters."""

    limit_bytes: int
    slots: list[Slot] = field(default_factory=list)
    length: int = 0

    def add(self, spec: ParameterSpec) -> None:
        width = 2 if spec.dtype.is_complex else 1
        # Complex gradients travel as pairs of reals, and torch views pairs only at even offsets.
        offset = self.length + self.length % width
        slot = Slot(spec, offset, math.prod(spec.shape) * width)
        self.slots.append(slot)
        self.length = offset + slot.length


def plan_buckets(specs: Sequence[ParameterSpec], cap_bytes: int) -> list[BucketPlan]:
    """Share parameters out to buckets.

    Walks `specs` backwards, because backward produces the gradients of the last layers first. A bucket holds
    one dtype on one device and at most `cap_bytes` (the very first at most `FIRST_BUCKET_BYTES`), or one
    parameter larger than that. Depends on nothing but the arguments: all ranks get the same plan.
    """
    opened: dict[tuple[torch.dtype, torch.device], _Open] = {}
    closed: list[BucketPlan] = []
    for spec in reversed(specs):
        key = (spec.dtype.to_real() if spec.dtype.is_complex else spec.dtype, spec.device)
        bucket = opened.get(key)
        nbytes = math.prod(spec.shape) * spec.dtype.itemsize
        if bucket is not None and bucket.length * key[0].itemsize + nbytes > bucket.limit_bytes:
            closed.append(_close(key, bucket))
            bucket = None
        if bucket is None:
            is_first = not opened
            bucket = _Open(min(FIRST_BUCKET_BYTES, cap_bytes) if is_first else cap_bytes)
            opened[key] = bucket
        bucket.add(spec)
    closed += [_close(key, bucket) for key, bucket in opened.items()]
    # A bucket is ready when its first registered parameter is: launch order follows that.
    return sorted(closed, key=lambda bucket: -bucket.slots[-1].spec.index)


def _close(key: tuple[torch.dtype, torch.device], bucket: _Open) -> BucketPlan:
    return BucketPlan(dtype=key[0], device=key[1], slots=tuple(bucket.slots), length=bucket.length)


class Bucket:
    """The memory of one bucket, and its all-reduce in flight.

    Between `launch()` and `wait()` the memory belongs to the backend. Not thread-safe; the reducer locks.
    """

    def __init__(self, plan: BucketPlan) -> None:
        self.plan = plan
        self._memory = _zeros(plan.length + len(plan.slots) + 1, plan)
        self._flags = self._memory[plan.length :]
        self.views = [_view(self._memory, slot) for slot in plan.slots]
        self._work: dist.Work | None = None

    def launch(self, gradients: Sequence[torch.Tensor | None], used: Sequence[bool], *, abandoned: bool) -> None:
        """Copy gradients and flags in, and start the average over all ranks.

        Args:
            gradients: per slot, this rank's gradient (any layout), or None to contribute zeros.
            used: per slot, whether this rank's backward has reached the parameter.
            abandoned: this rank gave the pass up, and sends zeros only to stay in step with the others.
        """
        dense_views, dense = [], []
        for view, gradient in zip(self.views, gradients, strict=True):
            if gradient is None:
                view.zero_()
            elif gradient.layout is not torch.strided:
                view.copy_(gradient.to_dense())
            elif not _same_memory(view, gradient):
                dense_views.append(view)
                dense.append(gradient.detach())
        if dense:
            torch._foreach_copy_(dense_views, dense)
        self._flags.copy_(torch.tensor([*used, abandoned], dtype=self.plan.dtype))
        self._work = dist.all_reduce(self._memory, op=dist.ReduceOp.AVG, async_op=True)

    def wait(self) -> None:
        """Wait for the average; raises what the backend raises."""
        work, self._work = self._work, None
        if work is not None:
            work.wait()

    def read_flags(self) -> tuple[list[bool], bool]:
        """After `wait()`: per slot, whether any rank used it; and whether any rank abandoned the pass."""
        *used, abandoned = (flag != 0 for flag in self._flags.tolist())
        return used, abandoned


def _zeros(length: int, plan: BucketPlan) -> torch.Tensor:
    if plan.device.type == "cpu" and is_initialized():
        try:
            return empty_registered(length, dtype=plan.dtype).zero_()
        except SMDDPError:
            pass  # no room: ordinary memory works too, through copies
    return torch.zeros(length, dtype=plan.dtype, device=plan.device)


def _view(memory: torch.Tensor, slot: Slot) -> torch.Tensor:
    part = memory[slot.offset : slot.offset + slot.length]
    if slot.spec.dtype.is_complex:
        return torch.view_as_complex(part.view(*slot.spec.shape, 2))
    return part.view(slot.spec.shape)


def _same_memory(view: torch.Tensor, gradient: torch.Tensor) -> bool:
    return view.data_ptr() == gradient.data_ptr() and view.stride() == gradient.stride()

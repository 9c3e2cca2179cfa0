"""DistributedDataParallel of the older interface: a module whose gradients are averaged over all ranks.

A plain `torch.nn.Module` around the user's, with hooks of its own (see `reducer`), so that subclasses may
override `forward`, and the module may be cast, moved, frozen, copied and pickled after wrapping.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist

from smddp.errors import SMDDPArgumentError
from smddp.legacy_native import bucket_bytes
from smddp.torch.backend import bucket_cap_mb as balanced_bucket_cap_mb
from smddp.torch.errors import failure
from smddp.torch.reducer import Reducer, ReducerOptions
from smddp.torch.replicate import broadcast_from_rank_0
from smddp.torch.world import require_initialized, require_world

__all__ = ["DistributedDataParallel"]

_NAME = "DistributedDataParallel"


class DistributedDataParallel(torch.nn.Module):
    """Replicates `module`: equal parameters on all ranks, gradients averaged over ranks during backward.

    Construction compares parameters and buffers between ranks, then copies those of rank 0 to all. After
    that, every rank runs the same number of backward passes; each may reach other parameters. A parameter
    that no rank's backward has reached keeps its `.grad`.

    Gradients are averaged in their own dtype. Sparse ones travel dense. With `create_graph=True` the averages
    carry no graph of their own: differentiate twice with `torch.autograd.grad`, which is left alone.

    Args:
        module: the module to replicate, with at least one parameter that requires grad.
        device_ids: for a module on one accelerator device, a list with just that device; inputs are moved
            to it. None or empty otherwise.
        output_device: where results are put; only with `device_ids`, whose device is the default.
        broadcast_buffers: copy rank 0's buffers to all ranks before a forward pass in training mode.
        process_group: None or `group.WORLD`.
        bucket_cap_mb: gradients share messages of at most this many MiB; None for what
            `smddpcommon.setBucketSize` has set, else `smddp.torch.bucket_cap_mb()`: 25, or more between many hosts.
        gradient_accumulation_steps: average in every n-th backward pass; passes between add to the local
            `.grad`. The result is the average over ranks of the sum over passes: scale the loss by 1/n for
            a mean.
        find_unused_parameters: results are right either way; if set, overlap with backward continues past
            parameters that a pass does not reach. Layers checkpointed with `use_reentrant=True` look like that:
            a gradient of theirs that comes too late is an SMDDPStateError, unless `static_graph` is set as well.
        gradient_as_bucket_view: let `.grad` point into communication buffers, which saves a copy.
        static_graph: each pass reaches the same parameters equally often; needed for layers that are shared
            and checkpointed with `use_reentrant=True`.

    Raises:
        SMDDPStateError: `init_process_group()` was not called.
        SMDDPArgumentError: an argument does not fit the module.
        SMDDPMismatchError: the module is not the same on all ranks; names the rank and the parameter.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        device_ids: Sequence[int | torch.device] | None = None,
        output_device: int | torch.device | None = None,
        broadcast_buffers: bool = True,
        process_group: object = None,
        bucket_cap_mb: float | None = None,
        *,
        gradient_accumulation_steps: int = 1,
        find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        require_initialized(_NAME)
        require_world(_NAME, process_group)
        _require_trainable(module)
        self.module = module
        self.broadcast_buffers = broadcast_buffers
        self.device_ids, self.output_device = _resolve_devices(module, device_ids, output_device)
        self._options = ReducerOptions(
            bucket_cap_bytes=_positive_bytes(bucket_cap_mb),
            passes_per_reduction=_positive_count(gradient_accumulation_steps),
            gradient_as_bucket_view=gradient_as_bucket_view,
            find_unused_parameters=find_unused_parameters,
            static_graph=static_graph,
        )
        self._buffers_sent_at: int | None = None
        self._reducer = Reducer(module, self._options)
        self._reducer.refresh()
        broadcast_from_rank_0((*module.parameters(), *module.buffers()))

    @property
    def process_group(self) -> dist.ProcessGroup | None:
        """The group gradients are averaged over: torch.distributed's default group."""
        return dist.group.WORLD

    @property
    def gradient_accumulation_steps(self) -> int:
        """Gradients are averaged in every n-th backward pass."""
        return self._options.passes_per_reduction

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, gradients are only added up locally; the next pass outside averages the sums.

        As in torch, forward decides: it belongs inside together with its backward.
        """
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run the wrapped module, and make its backward pass average gradients."""
        if self.device_ids:
            inputs, kwargs = _move(inputs, self.device_ids[0]), _move(kwargs, self.device_ids[0])
        if not torch.is_grad_enabled():
            return self._place(self.module(*inputs, **kwargs))
        self._reducer.before_forward()
        if self.training:
            self._synchronize_buffers()
        output = self._place(self.module(*inputs, **kwargs))
        self._reducer.watch_outputs(_tensors_in(output))
        return output

    @property
    def require_backward_grad_sync(self) -> bool:
        """Whether backward averages gradients; False inside `no_sync()`."""
        return self._reducer.enabled

    @require_backward_grad_sync.setter
    def require_backward_grad_sync(self, value: bool) -> None:
        self._reducer.enabled = value

    def _synchronize_buffers(self) -> None:
        # Once per step, in its first forward pass. Not again before the averages of that step are there: a
        # graph that waits for its backward may hold the buffers, and must not see them overwritten.
        step = self._reducer.statistics.reductions
        if self.broadcast_buffers and self._buffers_sent_at != step and dist.get_world_size() > 1:
            broadcast_from_rank_0(self.module.buffers())
            self._buffers_sent_at = step

    def _place(self, output: Any) -> Any:
        return output if self.output_device is None else _move(output, self.output_device)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_reducer"]  # hooks and buffers belong to this very object
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        # The copy joins the job in its first training step; until then it needs no other rank.
        self._buffers_sent_at = None
        self._reducer = Reducer(self.module, self._options)


# --- Arguments ---------------------------------------------------------------------------------------------


def _require_trainable(module: object) -> None:
    if not isinstance(module, torch.nn.Module):
        msg = f"{_NAME}: module must be a torch.nn.Module, got {type(module).__name__}"
        raise failure(SMDDPArgumentError, msg)
    for name, parameter in module.named_parameters():
        if isinstance(parameter, torch.nn.UninitializedParameter):
            msg = f"{_NAME}: parameter '{name}' has no shape yet; run a forward pass before wrapping"
            raise failure(SMDDPArgumentError, msg)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        msg = f"{_NAME}: not needed for a module without any parameter that requires a gradient"
        raise failure(SMDDPArgumentError, msg)


def _resolve_devices(
    module: torch.nn.Module,
    device_ids: Sequence[int | torch.device] | None,
    output_device: int | torch.device | None,
) -> tuple[list[torch.device] | None, torch.device | None]:
    """The device for inputs (at most one) and for outputs, checked against the module's as torch does."""
    devices = {parameter.device for parameter in module.parameters()}
    given = list(device_ids or ())
    if not given and output_device is None:
        return None, None
    kinds = {device.type for device in devices}
    if len(devices) > 1 or kinds == {"cpu"} or len(given) != 1:
        msg = (
            f"{_NAME}: device_ids and output_device are only for a module on one accelerator device, with "
            f"exactly that device in device_ids; got device_ids {device_ids}, output_device {output_device}, "
            f"and parameters on {', '.join(sorted(map(str, devices)))}; leave both out"
        )
        raise failure(SMDDPArgumentError, msg)
    kind = kinds.pop()
    device = _device(kind, given[0])
    return [device], device if output_device is None else _device(kind, output_device)


def _device(kind: str, device: int | torch.device) -> torch.device:
    return torch.device(kind, device) if isinstance(device, int) else torch.device(device)


def _positive_bytes(bucket_cap_mb: object) -> int:
    if bucket_cap_mb is None:
        return bucket_bytes() or int(balanced_bucket_cap_mb() * 1024 * 1024)
    if not isinstance(bucket_cap_mb, int | float) or not 0 < bucket_cap_mb < float("inf"):
        msg = f"{_NAME}: bucket_cap_mb must be a number of MiB greater than 0, got {bucket_cap_mb!r}"
        raise failure(SMDDPArgumentError, msg)
    return max(1, int(bucket_cap_mb * 1024 * 1024))


def _positive_count(steps: object) -> int:
    if not isinstance(steps, int) or steps < 1:
        msg = f"{_NAME}: gradient_accumulation_steps must be a whole number of at least 1, got {steps!r}"
        raise failure(SMDDPArgumentError, msg)
    return steps


# --- Nested data -------------------------------------------------------------------------------------------


def _tensors_in(data: Any) -> Iterator[torch.Tensor]:
    """The tensors in nested tuples, lists, mappings and dataclasses."""
    if isinstance(data, torch.Tensor):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _tensors_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _tensors_in(value)
    elif dataclasses.is_dataclass(data) and not isinstance(data, type):
        for field in dataclasses.fields(data):
            yield from _tensors_in(getattr(data, field.name))


def _move(data: Any, device: torch.device) -> Any:
    """`data` with its tensors on `device`; looks into built-in containers and named tuples only."""
    if isinstance(data, torch.Tensor):
        return data.to(device, non_blocking=True)
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(_move(value, device) for value in data))
    if type(data) in (tuple, list):
        return type(data)(_move(value, device) for value in data)
    if type(data) is dict:
        return {key: _move(value, device) for key, value in data.items()}
    return data

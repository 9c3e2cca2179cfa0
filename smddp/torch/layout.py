"""Which parameters a module has now, hooks on them, and the buckets for their present state."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch

from smddp.torch.agreement import describe_tensors, require_agreement
from smddp.torch.buckets import Bucket, ParameterSpec, plan_buckets

__all__ = ["Layout", "TrackedParameters"]

_CACHED_LAYOUTS = 4
"""Scripts that freeze and thaw parts of a model in turn (GANs) come back to the same few layouts."""

Signature = tuple[tuple[torch.dtype, torch.device, bool, torch.Size], ...]


class Layout:
    """Buckets for one state of the parameters.

    Attributes:
        buckets: in the order in which they are launched.
        bucket_of: position of a trainable parameter's bucket, by the parameter's index.
        arrivals: how many gradients a pass brings each parameter, once known; see `static_graph`.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], cap_bytes: int) -> None:
        specs = [
            ParameterSpec(index, tuple(parameter.shape), parameter.dtype, parameter.device)
            for index, parameter in enumerate(parameters)
            if parameter.requires_grad
        ]
        self.buckets = [Bucket(plan) for plan in plan_buckets(specs, cap_bytes)]
        self.bucket_of = {
            slot.spec.index: position for position, bucket in enumerate(self.buckets) for slot in bucket.plan.slots
        }
        self.arrivals: dict[int, int] | None = None


class TrackedParameters:
    """The parameters of `module`, each once, by index in registration order.

    `refresh()` follows changes: parameters replaced, cast, moved, frozen or thawed. All ranks make the same
    changes between the same passes; the first use of each layout is compared across ranks, which raises
    SMDDPMismatchError on all of them.

    `on_gradient(index)` is called, while its owner lives, when backward has written a parameter's `.grad`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        cap_bytes: int,
        on_gradient: weakref.WeakMethod[Callable[[int], None]],
    ) -> None:
        self.parameters: list[torch.nn.Parameter] = []
        self._module = module
        self._cap_bytes = cap_bytes
        self._on_gradient = on_gradient
        self._hooks: dict[int, torch.utils.hooks.RemovableHandle] = {}
        self._layouts: dict[Signature, Layout] = {}

    def refresh(self) -> Layout:
        """The layout for the parameters as they are now; collective if they have not been so before."""
        parameters = list(self._module.parameters())
        if not _same_objects(parameters, self.parameters):
            self._adopt(parameters)
        signature = tuple((p.dtype, p.device, p.requires_grad, p.shape) for p in parameters)
        layout = self._layouts.get(signature)
        if layout is None:
            require_agreement(describe_tensors(self._module))
            layout = Layout(parameters, self._cap_bytes)
            while len(self._layouts) >= _CACHED_LAYOUTS:
                del self._layouts[next(iter(self._layouts))]
            self._layouts[signature] = layout
            self._hook_trainable()
        return layout

    def name_of(self, index: int) -> str:
        """A parameter in words, for messages."""
        names = (name for name, p in self._module.named_parameters() if p is self.parameters[index])
        return f"parameter '{next(names, index)}'"

    def _adopt(self, parameters: list[torch.nn.Parameter]) -> None:
        for handle in self._hooks.values():
            handle.remove()
        self._hooks.clear()
        self._layouts.clear()
        self.parameters = parameters

    def _hook_trainable(self) -> None:
        for index, parameter in enumerate(self.parameters):
            if parameter.requires_grad and index not in self._hooks:
                hook = _gradient_hook(self._on_gradient, index)
                handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
                self._hooks[index] = handle


def _same_objects(new: list[torch.nn.Parameter], old: list[torch.nn.Parameter]) -> bool:
    return len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))


def _gradient_hook(target: weakref.WeakMethod[Callable[[int], None]], index: int) -> Callable[[torch.Tensor], None]:
    # Weakly held, so that parameters do not keep a discarded wrapper alive.
    def on_gradient(_parameter: torch.Tensor) -> None:
        method = target()
        if method is not None:
            method(index)

    return on_gradient

"""Loss scaling of Keras 3 around an optimizer that averages.

A LossScaleOptimizer looks for overflow in the gradients and then calls the optimizer inside it, or leaves the step out.
`model.compile` puts one around every optimizer where the policy is mixed_float16. If only the inside averaged, a rank
whose own gradients overflow would leave the step out while the others wait for it. So the averages are made first, as
loss scaling on several devices does it: all ranks find the same and halve the scale together, also when only a sum
overflows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from smddp.tensorflow.reduction import Reduction, reduce_gradients
from smddp.tensorflow.untraced import as_written

__all__ = ["average_before_check", "average_in_apply", "reduction_of"]

_REDUCTION: Final = "_smddp_reduction"
_AVERAGED: Final = "_smddp_averaged"

_changed: set[type] = set()


def reduction_of(optimizer: Any) -> Reduction | None:
    """How this optimizer averages; None if it does not."""
    how: Reduction | None = getattr(optimizer, _REDUCTION, None)
    return how


def average_in_apply(base: Any, how: Reduction) -> dict[str, Any]:
    """What a class derived from `base`, an optimizer of Keras 3, has in addition, so that it averages."""

    @as_written
    def apply(self: Any, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        if not getattr(self, _AVERAGED, False):
            grads = _averages(self, grads, trainable_variables, how)
        return base.apply(self, grads, trainable_variables)

    return {"apply": apply, _REDUCTION: how}


def average_before_check(loss_scale_optimizer: Any) -> None:
    """Let the class LossScaleOptimizer average where the optimizer inside does, and let that one take the averages.

    Changes the class for the whole process, once: Keras makes the objects itself.
    """
    if loss_scale_optimizer in _changed:
        return
    _changed.add(loss_scale_optimizer)
    former = loss_scale_optimizer.apply

    @as_written
    def apply(self: Any, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        how = reduction_of(self.inner_optimizer)
        if how is None:
            return former(self, grads, trainable_variables)
        with _averaged_outside(self.inner_optimizer):
            return former(self, _averages(self, grads, trainable_variables, how), trainable_variables)

    loss_scale_optimizer.apply = apply


@contextmanager
def _averaged_outside(optimizer: Any) -> Iterator[None]:
    setattr(optimizer, _AVERAGED, True)
    try:
        yield
    finally:
        setattr(optimizer, _AVERAGED, False)


def _averages(optimizer: Any, grads: Sequence[Any], trainable_variables: Sequence[Any] | None, how: Reduction) -> Any:
    # Without variables Keras takes those with which the optimizer was built.
    known = optimizer._trainable_variables if trainable_variables is None else trainable_variables
    return reduce_gradients(list(grads), list(known), how)

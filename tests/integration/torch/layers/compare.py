"""Comparing what a case returned with one backend and with the other."""

from __future__ import annotations

import torch

__all__ = ["compare"]

#: Largest difference, relative and absolute, where the backends add in different orders.
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def compare(reference: object, result: object, *, exact: bool, where: str = "result") -> None:
    """Raise AssertionError, naming the place, unless both are equal.

    Args:
        reference: tensors, numbers and texts in nested dicts, lists and tuples.
        result: as `reference`.
        exact: floating-point tensors must have the same bits; else they may differ by `TOLERANCES`.
        where: the expression that gives `reference`, for the message.
    """
    assert type(reference) is type(result), f"{where}: {type(result)} is not {type(reference)}"
    if isinstance(reference, dict):
        assert reference.keys() == result.keys(), f"{where}: {result.keys()} are not {reference.keys()}"
        for key in reference:
            compare(reference[key], result[key], exact=exact, where=f"{where}[{key!r}]")
    elif isinstance(reference, list | tuple):
        assert len(reference) == len(result), f"{where}: {len(result)} elements are not {len(reference)}"
        for number, pair in enumerate(zip(reference, result, strict=True)):
            compare(*pair, exact=exact, where=f"{where}[{number}]")
    elif isinstance(reference, torch.Tensor):
        tolerance = 0.0 if exact else TOLERANCES.get(reference.dtype, 0.0)
        torch.testing.assert_close(
            result, reference, rtol=tolerance, atol=tolerance, equal_nan=True, msg=lambda text: f"{where}: {text}"
        )
    else:
        assert reference == result, f"{where}: {result!r} is not {reference!r}"

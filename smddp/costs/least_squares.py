"""Linear least squares without negative unknowns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["non_negative", "uncertainty"]

Array = npt.NDArray[np.float64]

_TOLERANCE = 1e-12


def non_negative(matrix: Array, target: Array) -> Array:
    """The x >= 0 with the least |matrix x - target|^2.

    The active-set method of Lawson and Hanson (1974), chapter 23: unknowns leave zero one at a time, the one first that
    helps most, and come back to it when the solution without bounds would make them negative.
    """
    lengths = np.sqrt(np.square(matrix).sum(axis=0))
    lengths[lengths == 0] = 1
    found: Array = _of_unit_columns(matrix / lengths, target) / lengths
    return found


def _of_unit_columns(matrix: Array, target: Array) -> Array:
    found = np.zeros(matrix.shape[1])
    free = np.zeros(matrix.shape[1], dtype=bool)
    useless = np.zeros(matrix.shape[1], dtype=bool)  # seem to help, but for rounding
    least = _TOLERANCE * np.abs(matrix.T @ target).max(initial=0)
    # Each pass that counts ends with less error than the one before, so no set of free unknowns comes twice.
    while True:
        slope = np.where(free | useless, -np.inf, matrix.T @ (target - matrix @ found))
        if slope.max(initial=-np.inf) <= least:
            return found
        entering = slope.argmax()
        free[entering] = True
        wanted = _unbounded(matrix, target, free)
        if wanted[entering] <= 0:
            free[entering], useless[entering] = False, True
            continue
        useless[:] = False
        while (stopped := free & (wanted <= 0)).any():
            step = (found[stopped] / (found[stopped] - wanted[stopped])).min()
            found += step * (wanted - found)
            free &= (found > 0) & ~(stopped & (found <= _TOLERANCE * found.max()))
            found[~free] = 0
            wanted = _unbounded(matrix, target, free)
        found = wanted


def _unbounded(matrix: Array, target: Array, free: npt.NDArray[np.bool_]) -> Array:
    found = np.zeros(matrix.shape[1])
    found[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
    return found


def uncertainty(matrix: Array, residuals: Array, least_error: float) -> Array:
    """Standard errors of the unknowns of a fit that left these residuals, at least `least_error` each.

    Huge where the matrix does not tell unknowns apart, infinite if there are more of them than rows.
    """
    rows, unknowns = matrix.shape
    if rows < unknowns:
        return np.full(unknowns, np.inf)
    spread = np.sqrt(np.square(residuals).sum() / max(rows - unknowns, 1))
    _, sizes, directions = np.linalg.svd(matrix, full_matrices=False)
    stretched = directions / np.maximum(sizes, _TOLERANCE * sizes.max())[:, None]
    errors: Array = np.sqrt(np.square(stretched).sum(axis=0)) * max(float(spread), least_error)
    return errors

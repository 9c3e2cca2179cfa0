"""Parameters that nobody knows exactly: a likely value, what it may be, and where that comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Spread", "latin_hypercube", "percentiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A value between `low` and `high`; half of the chance lies on each side of `likely`."""

    low: float
    likely: float
    high: float
    source: str

    def at(self, quantile: float) -> float:
        """The value below which so much of the chance lies; straight between the three."""
        if quantile < 0.5:
            return self.low + (self.likely - self.low) * 2 * quantile
        return self.likely + (self.high - self.likely) * (2 * quantile - 1)


def latin_hypercube(dimensions: int, samples: int, seed: int) -> list[list[float]]:
    """Quantiles by sample and dimension; of each dimension one in each of `samples` parts (McKay et al., 1979)."""
    random = np.random.default_rng(seed)
    parts = random.permuted(np.tile(np.arange(samples), (dimensions, 1)), axis=1).T
    points: list[list[float]] = ((parts + random.random(parts.shape)) / samples).tolist()
    return points


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Of these values: 5 %, 50 %, 95 %."""
    low, median, high = np.percentile(values, (5, 50, 95)).tolist()
    return low, median, high

"""Times trials over all ranks of the job, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smddp.collectives import Communicator
from smddp.runtime import measuring_group
from smddp.tools.bench.timing import time_loop
from smddp.tools.tune.options import Options
from smddp.tools.tune.trials import WIDTH, Trial

__all__ = ["Measured", "measure"]

#: Of the time that there is, for a first look at each trial; what comes after it is left out.
_FIRST_LOOK = 1 / 3
_LOOKS = 2
#: Back to back, so that what a network lets pass after a pause does not count; more than so long tells nothing new.
_MOST_SECONDS, _MOST_CALLS = 0.1, 500


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of a call, the median of the rounds."""

    trial: Trial
    seconds: float


def measure(trials: Sequence[Trial], options: Options) -> list[Measured]:
    """Time the trials, as many of them (in this order) as the time allows; all ranks call it, and get the same.

    Raises:
        SMDDPError: what went wrong between the ranks.
    """
    calls = _Calls(trials)
    first: list[float] = []
    used = 0.0
    for trial in trials:
        used += calls.seconds(trial, 1)  # which makes the plan, and its memory
        first.append(calls.seconds(trial, _LOOKS))
        used += _LOOKS * first[-1]
        if used > _FIRST_LOOK * options.seconds:
            break
    chosen = trials[: len(first)]
    each = min(_MOST_SECONDS, (1 - _FIRST_LOOK) * options.seconds / options.rounds / len(chosen))
    counts = [max(1, min(_MOST_CALLS, round(each / seconds))) for seconds in first]
    rounds = [
        [calls.seconds(trial, count) for trial, count in zip(chosen, counts, strict=True)]
        for _ in range(options.rounds)
    ]
    medians = map(statistics.median, zip(*rounds, strict=True))
    return [Measured(trial, seconds) for trial, seconds in zip(chosen, medians, strict=True)]


class _Calls:
    """Groups in which the trials' algorithms are used, and memory for all of them."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._groups = {name: self._group(name, trials) for name in dict.fromkeys(t.algorithm for t in trials)}
        largest = max(trial.nbytes for trial in trials) // WIDTH
        # Zeros stay zeros, however often they are added up; written, so that each page is a page of its own.
        self._whole, self._part = np.full(largest, 0, np.float32), np.full(largest, 0, np.float32)

    @staticmethod
    def _group(algorithm: str, trials: Sequence[Trial]) -> Communicator:
        collectives = dict.fromkeys(trial.collective for trial in trials if trial.algorithm == algorithm)
        return measuring_group(
            f"tune {algorithm}", algorithm=",".join(f"{collective}={algorithm}" for collective in collectives)
        )

    def seconds(self, trial: Trial, count: int) -> float:
        """Of one of `count` calls back to back, on the slowest rank; the same on all ranks."""
        group = self._groups[trial.algorithm]
        return time_loop(group, [self._bound(group, trial)], count).seconds

    def _bound(self, group: Communicator, trial: Trial) -> Callable[[], object]:
        count = trial.nbytes // WIDTH
        whole: npt.NDArray[Any] = self._whole[:count]
        part: npt.NDArray[Any] = self._part[: count // group.size]
        calls: dict[str, Callable[[], object]] = {
            "all_reduce": lambda: group.all_reduce(whole),
            "all_gather": lambda: group.all_gather(whole, part),
            "reduce_scatter": lambda: group.reduce_scatter(part, whole),
        }
        return calls[trial.collective]

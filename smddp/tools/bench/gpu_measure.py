"""One collective at one size on GPUs, by several libraries in turns.

What is timed is a batch of calls between two moments at which this rank's GPU has nothing to do, on the host's clock,
as nccl-tests does. Events would leave out how long ranks that share a GPU wait for their turn on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from smddp.tools.bench.collectives import bus_factor
from smddp.tools.bench.compare import ROUNDS, Figures, medians
from smddp.tools.bench.gpu_ranks import GpuRanks
from smddp.tools.bench.gpu_report import GpuLimits, GpuRow
from smddp.tools.bench.gpu_trial import GpuTrial, make_gpu_trial
from smddp.tools.bench.options import Options, buffers_for, iterations_for
from smddp.tools.bench.timing import slowest_calls, time_loop

__all__ = ["OWN", "Groups", "Measurement"]

#: What our own rows are called.
OWN = "smddp"
#: The groups of torch.distributed by which libraries are reached, by name; None is the group of all ranks.
Groups = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One collective at one size."""

    options: Options
    ranks: GpuRanks
    limits: GpuLimits
    collective: str
    size: int

    def rows(self, groups: Groups) -> dict[str, GpuRow]:
        """A row for each library that can do it; all use the same buffers, and take turns."""
        trials = self._trials()
        calls = {title: [trial.call(group) for trial in trials] for title, group in groups.items()}
        able = {title: calls[title] for title in groups if self._is_able(title, calls[title][0])}
        before = {title: self._wrong(trials, able[title]) for title in able}
        for trial in trials:
            trial.clear()
        rounds = [{title: self._figures(able[title]) for title in able} for _ in range(ROUNDS if len(able) > 1 else 1)]
        after = {title: self._wrong(trials, able[title]) for title in able}
        rows = {}
        for title in able:
            wrong = before[title] + after[title] if self.options.check else None
            rows[title] = self._row(title, trials[0], medians([found[title] for found in rounds]), wrong)
        return rows

    def _trials(self) -> list[GpuTrial]:
        options, ranks = self.options, self.ranks
        return [
            make_gpu_trial(
                self.collective,
                options.dtype,
                options.op,
                self.size,
                device=ranks.device,
                rank=ranks.rank,
                ranks=ranks.size,
            )
            for _ in range(buffers_for(self.size))
        ]

    def _is_able(self, title: str, call: Callable[[], object]) -> bool:
        """Make the first call; what another library refuses is left out, on all ranks alike."""
        try:
            call()
        except (RuntimeError, TypeError, ValueError) as problem:
            if title == OWN:
                raise
            if self.ranks.rank == 0:
                first = str(problem).splitlines()[0]
                sys.stderr.write(f"smddp bench: {title} cannot do {self.collective} of {self.size} bytes: {first}\n")
            return False
        return True

    def _wrong(self, trials: Sequence[GpuTrial], calls: Sequence[Callable[[], object]]) -> int:
        """Wrong elements on all ranks, after one call on each of the buffers without a pause between them."""
        if not self.options.check:
            return 0
        for trial in trials:
            trial.fill()
        for call in calls:
            call()
        ends = trials if len(trials) == 1 else (trials[0], trials[-1])
        wrong = np.array([sum(trial.wrong() for trial in ends)])
        self.ranks.all_reduce(wrong)
        return int(wrong[0])

    def _figures(self, calls: Sequence[Callable[[], object]]) -> Figures:
        count, ranks = iterations_for(self.options, self.size), self.ranks
        for i in range(self.options.warmup):
            calls[i % len(calls)]()
        times = slowest_calls(ranks, [partial(_finished, ranks, call) for call in calls], count)
        loop = time_loop(ranks, calls, count, ranks.finish)
        p50, p99 = np.percentile(times, [50, 99])
        return Figures(float(p50), float(p99), loop.seconds, loop.processor_seconds)

    def _row(self, title: str, trial: GpuTrial, figures: Figures, wrong: int | None) -> GpuRow:
        nbytes = trial.nbytes
        limit = self.limits.seconds(self.collective, nbytes)
        algbw = nbytes / figures.time_s
        return GpuRow(
            collective=self.collective,
            size=nbytes,
            count=nbytes // trial.source.itemsize,
            dtype=self.options.dtype,
            op=self.options.op,
            time_s=figures.time_s,
            algbw=algbw,
            busbw=algbw * bus_factor(self.collective, self.ranks.size),
            wrong=wrong,
            p50_s=figures.p50_s,
            p99_s=figures.p99_s,
            processor_s=figures.processor_s,
            limit_s=limit,
            efficiency=None if limit is None else limit / figures.time_s,
            library=title,
        )


def _finished(ranks: GpuRanks, call: Callable[[], object]) -> None:
    call()
    ranks.finish()

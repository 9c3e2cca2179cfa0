"""`smdistributed.dataparallel`: the original's import paths. Everything behind them lives in `smddp`."""

from __future__ import annotations

from smddp import __version__
from smddp.legacy import next_task_id as _get_id_for_herring_task
from smddp.legacy import start_profiler, stop_profiler

__all__ = ["__version__", "_get_id_for_herring_task", "start_profiler", "stop_profiler"]

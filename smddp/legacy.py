"""What only the old import paths offer: the timeline profiler and task numbers.

Nothing here is needed by new code; torch.profiler does what `start_profiler` does, with more choice.
"""

from __future__ import annotations

import atexit
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.identity import read_identity

if TYPE_CHECKING:
    from torch.profiler import profile

__all__ = ["next_task_id", "start_profiler", "stop_profiler"]

_task_ids = itertools.count()
_running: tuple[profile, Path] | None = None


def next_task_id() -> int:
    """A number that this process has not handed out before, from 0. Thread-safe."""
    return next(_task_ids)


def start_profiler(path: str | os.PathLike[str], append_rank: bool = False) -> None:
    """Record a timeline of this process, collectives and compute, until `stop_profiler()` or exit.

    Args:
        path: file for the timeline, in Chrome's trace format (chrome://tracing, ui.perfetto.dev).
        append_rank: write to `NAME.rankN.SUFFIX` instead, so that ranks do not share one file.

    Raises:
        SMDDPArgumentError: the directory of `path` does not exist.
        SMDDPStateError: a timeline is being recorded already, or torch is not installed.
    """
    global _running
    if _running is not None:
        msg = f"start_profiler: already recording to {_running[1]}; call stop_profiler() first"
        raise SMDDPStateError(msg)
    target = _target(Path(path), append_rank)
    try:
        # Imported here: the old package must load where torch is missing.
        from torch.profiler import profile
    except ImportError as error:
        msg = "start_profiler: timelines are recorded by torch, which is not installed"
        raise SMDDPStateError(msg) from error
    recorder = profile()
    recorder.start()
    _running = (recorder, target)
    atexit.register(_stop_at_exit)


def stop_profiler() -> None:
    """Stop recording and write the file; it appears complete or not at all.

    Raises:
        SMDDPStateError: nothing is being recorded.
    """
    global _running
    if _running is None:
        msg = "stop_profiler: start_profiler() was not called"
        raise SMDDPStateError(msg)
    (recorder, target), _running = _running, None
    atexit.unregister(_stop_at_exit)
    recorder.stop()
    # torch compresses by suffix, so the temporary name keeps it.
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    recorder.export_chrome_trace(str(partial))
    partial.replace(target)


def _stop_at_exit() -> None:
    if _running is not None:
        stop_profiler()


def _target(path: Path, append_rank: bool) -> Path:
    if append_rank:
        rank = read_identity(os.environ).rank
        path = path.with_name(f"{path.stem}.rank{rank}{path.suffix}")
    path = path.absolute()  # scripts may change directory while recording
    if not path.parent.is_dir():
        msg = f"start_profiler: {path.parent} is not a directory"
        raise SMDDPArgumentError(msg)
    return path

"""Run a command in every host of a laboratory once per rank, with the variables that torchrun sets."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

from support.netlab.lab import SECONDS, Lab
from support.processes import Running
from support.world import place_ranks

__all__ = ["run_ranks"]

#: How often to look whether a rank has failed.
_POLL_SECONDS = 0.1


class _Marked:
    """A pipe whose lines go to a stream, each with its rank before it."""

    def __init__(self, rank: int, stream: TextIO, printing: threading.Lock) -> None:
        reading, self.writing = os.pipe()
        self._mark = f"[{rank}] "
        self._stream = stream
        self._printing = printing
        self._thread = threading.Thread(target=self._copy, args=(reading,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody here writes; what the rank's processes still have to say is printed."""
        os.close(self.writing)

    def join(self) -> None:
        """Wait for the end of the lines."""
        self._thread.join(SECONDS)

    def _copy(self, reading: int) -> None:
        with os.fdopen(reading, errors="replace") as lines:
            for line in lines:
                with self._printing:
                    self._stream.write(self._mark + line.rstrip("\n") + "\n")
                    self._stream.flush()


def run_ranks(lab: Lab, counts: Sequence[int], command: Sequence[str]) -> int:
    """Run `command` on `counts` ranks of the hosts.

    Returns:
        The exit code of the first rank that failed (128 + the signal that killed it), which ends the others; else 0.
    """
    printing = threading.Lock()
    ranks: list[Running] = []
    pipes: list[_Marked] = []
    try:
        for rank, place in enumerate(place_ranks(sum(counts), counts)):
            host = int(place.pop("SMDDP_HOST_ID").removeprefix("host-"))
            env = {**os.environ, **place, "MASTER_ADDR": lab.spec.names[0]}
            out, err = (_Marked(rank, stream, printing) for stream in (sys.stdout, sys.stderr))
            try:
                ranks.append(lab.run_rank(host, command, env, out.writing, err.writing))
            finally:
                out.close()
                err.close()
            pipes += out, err
        return _first_failure(ranks)
    finally:
        for each in ranks:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
        for pipe in pipes:
            pipe.join()


def _first_failure(ranks: Sequence[Running]) -> int:
    running = list(ranks)
    while running:
        running[0].wait(time.monotonic() + _POLL_SECONDS)
        for rank in list(running):
            if (ended := rank.wait(0)) is not None:
                running.remove(rank)
                if ended[0] != 0:
                    code = ended[0] if ended[0] > 0 else 128 - ended[0]
                    print(
                        f"rank {ranks.index(rank)} ended with exit code {code}; the others are stopped", file=sys.stderr
                    )
                    return code
    return 0

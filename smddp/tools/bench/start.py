"""Starting ranks where no launcher did: our own, or those of several libraries that are measured in turns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from smddp.errors import SMDDPArgumentError
from smddp.launch.machine import free_port
from smddp.tools.bench.compare import ROUNDS, Comparison, check_peers, compare
from smddp.tools.bench.options import Options
from smddp.tools.bench.processes import ending, rank_environment
from smddp.tools.bench.report import peer_header, peer_line, peer_rows, write_csv, write_json

__all__ = ["run_comparison", "start_ranks"]

_POLL_S = 0.05
_GRACE_S = 5
_TERMINATED = 128 + signal.SIGTERM


def start_ranks(words: Sequence[str], ranks: int) -> int:
    """Run ``smddp bench`` with these words in `ranks` processes of this machine.

    Returns:
        the exit code: of the first rank that failed, else 0. When one fails the others are ended.
    """
    _end_with_us()
    port = free_port()
    # The script rather than -m, which would put the user's folder first on the path.
    script = Path(sys.executable).with_name("smddp")
    command = [str(script)] if script.is_file() else [sys.executable, "-m", "smddp.tools"]
    # Ranks that lost one get the time to say so themselves.
    with ending(_GRACE_S) as processes:
        for rank in range(ranks):
            env = {**os.environ, **rank_environment(rank, ranks, port)}
            processes.append(subprocess.Popen([*command, "bench", *words], env=env))
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            time.sleep(_POLL_S)
    return next((process.returncode for process in processes if process.returncode), 0)


def run_comparison(options: Options, ranks: int) -> int:
    """Measure smddp and its peers in turns, and report. Returns the exit code.

    Raises:
        SMDDPError: a peer that is not there, or whose ranks died.
    """
    peers = check_peers(options.compare)
    if options.plot is not None:
        msg = "--plot draws smddp and the machine's limit; leave out --compare, or --plot"
        raise SMDDPArgumentError(msg)
    _end_with_us()
    titles = ["smddp", *(peer.title for peer in peers)]
    comparisons: list[Comparison] = []
    with closing(compare(options, peers, ranks)) as found:
        for comparison in found:
            if not comparisons or comparisons[-1].collective != comparison.collective:
                print(peer_header(comparison.collective, titles))
            comparisons.append(comparison)
            print(peer_line(comparison), flush=True)
    rows = peer_rows(comparisons, options.dtype, options.op)
    if options.json is not None:
        write_json(options.json, {"ranks": ranks, "rounds": ROUNDS}, rows)
    if options.csv is not None:
        write_csv(options.csv, rows)
    return 0


def _end_with_us() -> None:
    """A request to end becomes an exception, so that no rank is left behind."""
    signal.signal(signal.SIGTERM, _exit_on_termination)


def _exit_on_termination(*_: object) -> NoReturn:
    sys.exit(_TERMINATED)

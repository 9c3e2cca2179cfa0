"""In front of the script in each rank of a training job: set its variables, go to its folder, become the script.

    python -I rank.py RANKS_JSON PROCESSES_PER_HOST program [arguments ...]

smddprun starts it after it has set RANK. It needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys

__all__ = ["main"]


def main(words: list[str]) -> None:
    """Become the program; ends the process with one line on stderr where that fails."""
    file, processes_per_host, *program = words
    try:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123 (start-up)
            settings = json.load(opened)
        hosts = settings["hosts"]
        # the hosts are listed in the order of ranks, each with equally many
        host = hosts[min(int(os.environ.get("RANK", "0")) // int(processes_per_host), len(hosts) - 1)]
        os.environ.update(settings["variables"])
        os.environ.update(host)
        os.chdir(settings["directory"])
        # Python ignores these two, and what is ignored stays so across exec.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(program[0], program)
    except OSError as error:
        rank = os.environ.get("RANK", "?")
        sys.exit(f"SMDDPSystemError: rank {rank}: cannot start {program[0]}: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])

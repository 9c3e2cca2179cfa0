"""``smddprun``: inside a rank the wrapper in front of the program, outside a rank the launcher.

A process is inside a rank when its environment says which rank it is (`smddp.identity`: torchrun,
SMDATAPARALLEL_*, Open MPI, PMIx, PMI, or an ``srun`` step). There smddprun takes only ``-x``. With launcher
options such as ``-np`` it still launches if that world has one rank (``srun --pty bash``), and refuses if it
has more: each rank of a running job would start a job of its own.

The launcher puts ``smddprun --rank`` in front of the program in each rank, which never launches (`smddp.launch.rank`).
"""

from __future__ import annotations

import os
import sys

from smddp.alone import drop_inherited
from smddp.errors import SMDDPConfigError
from smddp.identity import read_identity
from smddp.launch.program import become_program, tell_errors
from smddp.launch.rank import run_rank

__all__ = ["main"]

_USAGE = "smddprun [-x NAME=VALUE] program [arguments ...]"


def main(words: list[str] | None = None) -> int:
    """Run ``smddprun`` with the given words (default: the process's own).

    Returns only when no program took this process over.

    Returns:
        the exit code: 2 when smddprun could not do what was asked (one line on stderr says why).
    """
    return tell_errors("smddprun", lambda: _dispatch(sys.argv[1:] if words is None else list(words)))


def _dispatch(words: list[str]) -> int:
    # None: smddprun has made nothing up itself, though exec may have kept the number of a process that has
    drop_inherited(os.environ, None)
    if words[:1] == ["--rank"]:
        identity = read_identity(os.environ)
        if identity.source == "single":
            msg = "mpirun started this process without telling its rank: use Open MPI or MPICH"
            raise SMDDPConfigError(msg)
        run_rank(words[1:], identity, _USAGE)
    if _has_only_exports(words):
        identity = read_identity(os.environ)
        if identity.source != "single":
            become_program(words, identity, _USAGE)
    # imported here: a rank needs none of it
    from smddp.launch.launcher import launch

    return launch(words)


def _has_only_exports(words: list[str]) -> bool:
    """Return whether the options before the program are all ``-x``."""
    index = 0
    while words[index : index + 1] == ["-x"]:
        index += 2
    return words[index : index + 1] == ["--"] or not "".join(words[index : index + 1]).startswith("-")

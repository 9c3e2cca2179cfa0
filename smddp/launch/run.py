"""``smddprun``: inside a rank the wrapper in front of the program, outside a rank the launcher.

A process is inside a rank when its environment says which rank it is (`smddp.identity`: torchrun,
SMDATAPARALLEL_*, Open MPI, PMIx, PMI, or an ``srun`` step). There smddprun takes only ``-x``. With launcher
options such as ``-np`` it still launches if that world has one rank (``srun --pty bash``), and refuses if it
has more: each rank of a running job would start a job of its own.

The launcher puts ``smddprun --rank`` in front of the program in each rank, which never launches. Where mpirun
tells its ranks a wrong local size (Open MPI 5), ``--slots`` tells the numbers of ranks on the hosts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import NoReturn

from smddp.alone import drop_inherited
from smddp.errors import SMDDPArgumentError, SMDDPConfigError, SMDDPError
from smddp.identity import Identity, read_identity
from smddp.launch.process import become
from smddp.launch.rank_env import fill_rank_environment, local_size_by_slots

__all__ = ["main"]

_EXIT_CANNOT = 2
_EXIT_INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """Run ``smddprun`` with the given words (default: the process's own).

    Returns only when no program took this process over.

    Returns:
        the exit code: 2 when smddprun could not do what was asked (one line on stderr says why).
    """
    try:
        return _dispatch(sys.argv[1:] if words is None else list(words))
    except SMDDPError as error:
        sys.stderr.write(f"smddprun: {error}\n")
        return _EXIT_CANNOT
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def _dispatch(words: list[str]) -> int:
    # None: smddprun has made nothing up itself, though exec may have kept the number of a process that has
    drop_inherited(os.environ, None)
    if words[:1] == ["--rank"]:
        identity = read_identity(os.environ)
        if identity.source == "single":
            msg = "mpirun started this process without telling its rank: use Open MPI or MPICH"
            raise SMDDPConfigError(msg)
        _become_program(_take_slots(words[1:], identity), identity)
    if _has_only_exports(words):
        identity = read_identity(os.environ)
        if identity.source != "single":
            _become_program(words, identity)
    # imported here: a rank needs none of it
    from smddp.launch.launcher import launch

    return launch(words)


def _has_only_exports(words: list[str]) -> bool:
    """Return whether the options before the program are all ``-x``."""
    index = 0
    while words[index : index + 1] == ["-x"]:
        index += 2
    return words[index : index + 1] == ["--"] or not "".join(words[index : index + 1]).startswith("-")


def _become_program(words: list[str], identity: Identity) -> NoReturn:
    env = dict(os.environ)
    program = _apply_exports(words, env)
    if not program:
        msg = f"rank {identity.rank}: no program given: smddprun [-x NAME=VALUE] program [arguments ...]"
        raise SMDDPArgumentError(msg)
    # read again: an export may have set what was missing before
    fill_rank_environment(env, identity=read_identity(env))
    try:
        _exec(program, env)
    except OSError as error:
        msg = f"rank {identity.rank}: cannot run {program[0]!r}: {error.strerror}"
        raise SMDDPArgumentError(msg) from error


def _take_slots(words: list[str], identity: Identity) -> list[str]:
    """Set LOCAL_WORLD_SIZE from a leading ``--slots``, unless somebody has, and return the other words."""
    if words[:1] != ["--slots"]:
        return words
    local_size = local_size_by_slots("".join(words[1:2]), identity)
    if local_size is not None:
        os.environ.setdefault("LOCAL_WORLD_SIZE", str(local_size))
    return words[2:]


def _apply_exports(words: list[str], env: MutableMapping[str, str]) -> list[str]:
    """Set the leading ``-x NAME=VALUE`` in ``env`` and return the program's words.

    ``-x NAME`` alone has nothing left to do here: this process has inherited the variable or there is none.
    """
    index = 0
    while words[index : index + 1] == ["-x"]:
        name, has_value, value = "".join(words[index + 1 : index + 2]).partition("=")
        if not name:
            msg = "-x needs NAME or NAME=VALUE after it"
            raise SMDDPArgumentError(msg)
        if has_value:
            env[name] = value
        index += 2
    if words[index : index + 1] == ["--"]:
        index += 1
    return words[index:]


def _exec(program: list[str], env: Mapping[str, str]) -> NoReturn:
    """Become the program; raises OSError when that fails."""
    try:
        become(program[0], program, env)
    except FileNotFoundError:
        if "/" in program[0]:
            raise
        # An environment that is not activated: its python is not on PATH, and has to be called by its full
        # name to find its own packages.
        beside = os.path.join(os.path.dirname(sys.executable), program[0])  # noqa: PTH118, PTH120 (start-up)
        become(beside, [beside, *program[1:]], env)

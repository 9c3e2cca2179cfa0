"""The last step of a command that stands in front of a rank's program: complete its environment, and become it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import NoReturn

from smddp.errors import SMDDPArgumentError, SMDDPError
from smddp.identity import Identity, read_identity
from smddp.launch.process import become
from smddp.launch.rank_env import fill_rank_environment

__all__ = ["EXIT_CANNOT", "apply_exports", "become_program", "execute", "tell_errors"]

EXIT_CANNOT = 2
"""Exit code of a command that could not do what was asked."""

_EXIT_INTERRUPTED = 130


def tell_errors(command: str, run: Callable[[], int]) -> int:
    """Return what ``run`` returns; where it raises one of our errors, say so in one line as ``command``."""
    try:
        return run()
    except SMDDPError as error:
        sys.stderr.write(f"{command}: {error}\n")
        return EXIT_CANNOT
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def become_program(words: list[str], identity: Identity, usage: str) -> NoReturn:
    """Become the program in ``words`` (leading ``-x`` are applied), as the rank that ``identity`` says.

    Args:
        words: options ``-x``, then the program and its arguments.
        identity: who this process is.
        usage: the command line that is expected, for the error when there is no program.

    Raises:
        SMDDPError: there is no program, or it cannot run, or an export makes the rank's variables contradictory.
    """
    env = dict(os.environ)
    program = apply_exports(words, env)
    if not program:
        msg = f"rank {identity.rank}: no program given: {usage}"
        raise SMDDPArgumentError(msg)
    # read again: an export may have set what was missing before
    fill_rank_environment(env, identity=read_identity(env))
    try:
        execute(program, env)
    except OSError as error:
        msg = f"rank {identity.rank}: cannot run {program[0]!r}: {error.strerror}"
        raise SMDDPArgumentError(msg) from error


def apply_exports(words: list[str], env: MutableMapping[str, str]) -> list[str]:
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


def execute(program: list[str], env: Mapping[str, str]) -> NoReturn:
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

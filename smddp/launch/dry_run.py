"""The text of ``--dry-run``: a command that a shell runs as smddprun would have. Pure."""

from __future__ import annotations

import dataclasses
import shlex

from smddp.launch.mpirun import mpirun_argv
from smddp.launch.spec import Launch

__all__ = ["format_command"]

# The shell makes the secret itself, so none is ever printed or seen on a command line.
_FRESH_SECRET = "$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \\n')"
_SECRET_OF_THE_USER = "${SMDDP_JOB_SECRET:?set it to the secret of this job}"


def format_command(launch: Launch) -> str:
    """Return one shell command on one line (but for newlines inside values)."""
    words = [f"{name}={shlex.quote(value)}" for name, value in launch.set_variables]
    if launch.secret is not None:
        words.append(f'SMDDP_JOB_SECRET="{_SECRET_OF_THE_USER}"')
    elif launch.needs_secret:
        words.append(f'SMDDP_JOB_SECRET="{_FRESH_SECRET}"')
    limit = [] if launch.timeout is None else ["timeout", "--foreground", f"{launch.timeout:g}"]
    # Nobody is there whom the ranks could tell how they are.
    argv = mpirun_argv(dataclasses.replace(launch.spec, is_watched=False))
    command = " ".join([*words, shlex.join([*limit, *argv])])
    if not launch.unset_variables:
        return command
    # a subshell, so that the shell it is pasted into keeps its variables
    return f"(unset {' '.join(launch.unset_variables)}; {command})"

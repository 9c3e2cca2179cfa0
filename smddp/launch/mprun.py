"""``smddpmprun``: the wrapper that the training platform puts in front of a model-parallel program, in each rank.

    mpirun ... smddpmprun -i ml.p4d.24xlarge --allow-bypass python -m mpi4py train.py

There it does what ``smddprun`` does inside a rank, and tells the program the type of instance. It never launches:
outside a rank there is nothing to fill in. Then, with ``--allow-bypass``, the program runs as it is.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from smddp.alone import drop_inherited
from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.identity import read_identity
from smddp.launch.program import apply_exports, become_program, execute, tell_errors

__all__ = ["main"]

_USAGE = "smddpmprun [-i INSTANCE_TYPE] [--allow-bypass] [-x NAME=VALUE] program [arguments ...]"

_HELP = f"""\
usage: {_USAGE}

Inside a rank (started by mpirun, srun or torchrun): fill in the variables that torch.distributed and smddp read
where they are missing, and become the program. mpirun -np 4 smddpmprun python train.py

  -i INSTANCE_TYPE  SAGEMAKER_INSTANCE_TYPE for the program, where it is not set; any type is accepted
  --allow-bypass    outside a rank, run the program as it is instead of refusing
  -x NAME=VALUE     set a variable for the program; may be repeated
  --version         print the version and stop

Exit code: the program's; 2 when smddpmprun itself cannot do what was asked.
"""

_INSTANCE_TYPE = "SAGEMAKER_INSTANCE_TYPE"


def main(words: list[str] | None = None) -> int:
    """Run ``smddpmprun`` with the given words (default: the process's own).

    Returns only when no program took this process over.

    Returns:
        the exit code: 2 when smddpmprun could not do what was asked (one line on stderr says why).
    """
    return tell_errors("smddpmprun", lambda: _dispatch(sys.argv[1:] if words is None else list(words)))


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        # imported here: a rank needs none of it
        from smddp.launch.options import version

        sys.stdout.write(f"smddpmprun {version()}\n")
    elif words[:1] in (["-h"], ["--help"]):
        sys.stdout.write(_HELP)
    else:
        _run(words)
    return 0


def _run(words: list[str]) -> NoReturn:
    drop_inherited(os.environ, None)
    allow_bypass, words = _take_options(words)
    identity = read_identity(os.environ)
    if identity.source != "single":
        become_program(words, identity, _USAGE)
    if not allow_bypass:
        msg = (
            "no launcher has started this process, so there is nothing to fill in: "
            "start it with mpirun, or give --allow-bypass to run the program as it is"
        )
        raise SMDDPConfigError(msg)
    _bypass(words)


def _take_options(words: list[str]) -> tuple[bool, list[str]]:
    """Apply the leading options of our own; returns whether to allow the bypass, and the other words."""
    allow_bypass = False
    while words[:1] in (["-i"], ["--allow-bypass"]):
        if words[0] == "--allow-bypass":
            allow_bypass, words = True, words[1:]
            continue
        instance_type = "".join(words[1:2])
        if not instance_type:
            msg = "-i needs the type of instance after it, such as ml.p4d.24xlarge"
            raise SMDDPArgumentError(msg)
        if not os.environ.get(_INSTANCE_TYPE):
            os.environ[_INSTANCE_TYPE] = instance_type
        words = words[2:]
    if words and words[0].startswith("-") and words[0] not in ("-x", "--"):
        msg = f"unknown option {words[0]!r}: {_USAGE}"
        raise SMDDPArgumentError(msg)
    return allow_bypass, words


def _bypass(words: list[str]) -> NoReturn:
    env = dict(os.environ)
    program = apply_exports(words, env)
    if not program:
        msg = f"no program given: {_USAGE}"
        raise SMDDPArgumentError(msg)
    try:
        execute(program, env)
    except OSError as error:
        msg = f"cannot run {program[0]!r}: {error.strerror}"
        raise SMDDPArgumentError(msg) from error

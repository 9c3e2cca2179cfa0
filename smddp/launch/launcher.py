"""smddprun outside a rank: put a job together and see it through."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.identity import Identity, read_identity
from smddp.launch.compose import compose_launch
from smddp.launch.dry_run import format_command
from smddp.launch.machine import examine_machine, find_program
from smddp.launch.mpirun import mpirun_argv
from smddp.launch.options import parse_options
from smddp.launch.spec import Launch
from smddp.launch.supervision.session_folder import session_folder
from smddp.launch.supervision.supervisor import supervise

__all__ = ["launch", "launch_environment"]

_SECRET_BYTES = 32


def launch(words: list[str]) -> int:
    """Run the job that the words after ``smddprun`` describe, and return its exit code.

    Raises:
        SMDDPError: the job cannot be started; the message says why.
        SystemExit: after ``--help`` or ``--version``, with code 0.
    """
    options = parse_options(words)
    _refuse_inside_rank(read_identity(os.environ))
    if options.check:
        # imported here, as other jobs need none of it
        from smddp.tools.doctor.run import check_job

        code = check_job(options)
        if code or not options.program:
            return code
    if options.distribution is not None:
        # imported here: it starts a smddprun of its own, and other jobs need none of it
        from smddp.launch.job_file import run_job_file

        return run_job_file(options)
    decided = compose_launch(options, os.environ, examine_machine(options.mpirun, os.environ))
    if decided.is_local:
        _check_program(decided, os.environ)
    for note in decided.notes:
        sys.stderr.write(f"smddprun: {note}\n")
    if options.dry_run:
        sys.stdout.write(format_command(decided) + "\n")
        return 0
    return _run(decided)


def _run(decided: Launch) -> int:
    spec, env = decided.spec, launch_environment(decided, os.environ)
    argv = mpirun_argv(spec)
    try:
        with session_folder(spec, env) as folder:
            return supervise(argv, env, size=spec.process_count, timeout=decided.timeout, folder=folder)
    except OSError as error:
        msg = f"cannot run {argv[0]}: {error.strerror}"
        raise SMDDPConfigError(msg) from error


def launch_environment(decided: Launch, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment mpirun starts in, with a secret of this job."""
    result = {name: value for name, value in env.items() if name not in decided.unset_variables}
    result.update(decided.set_variables)
    if decided.secret is not None:
        result["SMDDP_JOB_SECRET"] = decided.secret
    elif decided.needs_secret:
        result["SMDDP_JOB_SECRET"] = secrets.token_hex(_SECRET_BYTES)
    return result


def _refuse_inside_rank(identity: Identity) -> None:
    if identity.size == 1:
        return
    msg = (
        f"this process already is rank {identity.rank} of {identity.size} ({identity.source} variables "
        "are set) and each rank would start a job of its own: inside a rank give only -x, or unset them"
    )
    raise SMDDPArgumentError(msg)


def _check_program(decided: Launch, env: Mapping[str, str]) -> None:
    """Say once, before the start, what each rank would say."""
    name = decided.spec.program[0]
    path = dict(decided.spec.assignments).get("PATH", env.get("PATH"))
    if find_program(name, path) is not None:
        return
    hint = f"; to run a script: smddprun ... python {name}" if name.endswith(".py") else ""
    msg = f"cannot run {name!r}: there is no such program{hint}"
    raise SMDDPArgumentError(msg)

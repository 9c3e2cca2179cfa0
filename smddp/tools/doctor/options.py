"""The command line of ``smddp doctor``: its own few words, and those of smddprun that say where a job would run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smddp.errors import SMDDPArgumentError
from smddp.launch.options import parse_options
from smddp.launch.spec import Options

__all__ = ["USAGE", "DoctorOptions", "read_words"]

USAGE = """\
usage: smddp doctor [--json] [--quick] [-np N] [-H HOSTS | --hostfile FILE] [-x NAME[=VALUE]] [--mpi-options WORDS]
                    [--mpirun PATH] [--oversubscribe]

Examine the hosts of a job before it starts: versions, network, limits, memory, variables, leftovers. Without hosts:
those of the allocation that it runs in, else this machine.

  --json           print findings and facts as JSON
  --quick          do not try to load PyTorch and TensorFlow, which takes seconds

The others are smddprun's (smddprun --help), and say how the job will be started.

Exit code: 0 when no error was found (there may be warnings), 1 when one was, 2 when the doctor could not do its work.
"""

_PROGRAM = "true"
_OWN = ("--json", "--quick", "--help", "-h")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What was asked for; `job` has no program."""

    job: Options
    as_json: bool = False
    quick: bool = False
    wants_help: bool = False


def read_words(words: Sequence[str]) -> DoctorOptions:
    """Read the words after ``smddp doctor``.

    Raises:
        SMDDPArgumentError: one that has no place there.
    """
    own = [word for word in words if word in _OWN]
    job = parse_options([*(word for word in words if word not in _OWN), "--", _PROGRAM])
    if job.program != (_PROGRAM,):
        msg = f"doctor takes no program, only options: {job.program[0]!r} (smddp doctor --help lists them)"
        raise SMDDPArgumentError(msg)
    plain = Options(
        program=job.program,
        process_count=job.process_count,
        hosts=job.hosts,
        mpi_options=job.mpi_options,
        exports=job.exports,
        mpirun=job.mpirun,
        oversubscribe=job.oversubscribe,
    )
    if job != plain:
        msg = "doctor takes of smddprun's options only those that say where a job runs (smddp doctor --help lists them)"
        raise SMDDPArgumentError(msg)
    return DoctorOptions(
        job=plain, as_json="--json" in own, quick="--quick" in own, wants_help="--help" in own or "-h" in own
    )

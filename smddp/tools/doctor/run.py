"""``smddp doctor``, and ``smddprun --check``: gather, judge, report."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from smddp.alone import inherited_names
from smddp.errors import SMDDPArgumentError
from smddp.launch.spec import Options
from smddp.tools.doctor.checks import Subject, examine
from smddp.tools.doctor.look import look
from smddp.tools.doctor.options import USAGE, read_words
from smddp.tools.doctor.probe import GATHER, MEET, run_probe
from smddp.tools.doctor.report import as_json, as_text, exit_code

__all__ = ["check_job", "main"]

_COLUMNS = 120
#: What launchers set in every rank. torchrun's RANK and WORLD_SIZE may also come from a start-up file.
_PROOFS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "TORCHELASTIC_RUN_ID", "SMDATAPARALLEL_WORLD_RANK")


def main(words: Sequence[str]) -> int:
    """Run ``smddp doctor`` with these words; returns the exit code.

    Raises:
        SMDDPError: the doctor cannot do its work.
    """
    if words[:1] in ([GATHER], [MEET]):
        return run_probe(words)
    options = read_words(words)
    if options.wants_help:
        sys.stdout.write(USAGE)
        return 0
    _refuse_inside_rank()
    subject = look(options.job, quick=options.quick)
    findings = examine(subject)
    if options.as_json:
        sys.stdout.write(json.dumps(as_json(subject, findings), indent=2) + "\n")
    else:
        _write(subject, sys.stdout)
    return exit_code(findings)


def check_job(options: Options) -> int:
    """Examine the hosts of a job that smddprun is to start, and report on standard error; returns the exit code.

    Raises:
        SMDDPError: the doctor cannot do its work.
    """
    # A job loads its framework next, and says itself if that fails.
    subject = look(options, quick=bool(options.program))
    _write(subject, sys.stderr)
    code = exit_code(examine(subject))
    if code and options.program:
        sys.stderr.write("smddprun: the job was not started, because of the errors above\n")
    return code


def _write(subject: Subject, stream: TextIO) -> None:
    is_terminal = stream.isatty()
    width = min(shutil.get_terminal_size().columns, _COLUMNS) if is_terminal else _COLUMNS
    colour = is_terminal and not os.environ.get("NO_COLOR")
    stream.write(as_text(subject, examine(subject), width=width, colour=colour))
    stream.flush()


def _refuse_inside_rank() -> None:
    made_up = inherited_names(os.environ, os.getpid())
    for name in _PROOFS:
        if os.environ.get(name) and name not in made_up:
            msg = f"this process is a rank of a job already ({name} is set): run smddp doctor once, outside of it"
            raise SMDDPArgumentError(msg)

"""The command line of smddprun as a launcher. Pure, but for reading the host file and printing help."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from smddp.errors import SMDDPArgumentError
from smddp.launch.hosts import parse_host_list, parse_hostfile
from smddp.launch.mpirun import split_exports
from smddp.launch.spec import Binding, Host, Options

__all__ = ["parse_options", "version"]

_USAGE = "smddprun [-np N] [-H HOSTS | --hostfile FILE] [options] program [arguments ...]"

_DESCRIPTION = """\
Start a program on N ranks through mpirun, with everything that torch.distributed and smddp need in the
environment of each rank: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT, and the
SMDATAPARALLEL_* names of the same facts.

  smddprun -np 4 python train.py
  smddprun -H node1:8,node2:8 --mpi-options "-verbose -x NCCL_DEBUG=VERSION" python train.py
"""

_EPILOG = """\
Inside a rank (started by mpirun, srun or torchrun) smddprun takes only -x, fills in the same variables where
they are missing, and becomes the program: mpirun -np 4 smddprun python train.py. A shell inside an allocation
(salloc, a batch script) is not a rank.

Exit code: that of the rank where a failure began, 128 + N if signal N killed it; 124 after --timeout; 2 when smddprun
itself cannot do what was asked. The last line on standard error says what went wrong.
"""

#: Options followed by a value, as separate words.
_WITH_VALUE = frozenset(
    {
        *("-np", "-n", "-H", "--host", "--hosts", "--hostfile", "--mpi-options", "-x", "--mpirun"),
        *("--timeout", "--log-dir", "--bind", "--distribution"),
    }
)

_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(s|m|h|)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class _Parser(argparse.ArgumentParser):
    """argparse prints usage and exits on an error; smddprun says one line."""

    def error(self, message: str) -> NoReturn:
        msg = f"{message} (smddprun --help lists the options)"
        raise SMDDPArgumentError(msg)


def parse_options(words: list[str]) -> Options:
    """Parse the words after ``smddprun``.

    Raises:
        SMDDPArgumentError: an unknown or malformed option, a bad host list, or no program.
        SystemExit: after ``--help`` or ``--version``, with code 0.
    """
    own_words, program = _split_program(words)
    parsed = _parser().parse_args(own_words)
    if not program and not parsed.check:
        msg = "no program given: smddprun [options] program [arguments ...]"
        raise SMDDPArgumentError(msg)
    mpi_options, mpi_exports = split_exports(_split_shell(" ".join(parsed.mpi_options)))
    exports = (*mpi_exports, *parsed.exports)
    for export in exports:
        if not export.partition("=")[0].strip():
            msg = f"-x {export!r}: expected NAME or NAME=VALUE"
            raise SMDDPArgumentError(msg)
    return Options(
        program=tuple(program),
        process_count=parsed.process_count,
        hosts=_read_hosts(parsed.host_lists, parsed.hostfiles),
        mpi_options=mpi_options,
        exports=exports,
        mpirun=parsed.mpirun,
        oversubscribe=parsed.oversubscribe,
        dry_run=parsed.dry_run,
        check=parsed.check,
        timeout=parsed.timeout,
        tag_output=parsed.tag_output,
        log_folder=parsed.log_folder,
        binding=Binding(parsed.binding),
        distribution=parsed.distribution,
    )


def _split_program(words: list[str]) -> tuple[list[str], list[str]]:
    """Cut before the program; its own options look like ours, so argparse must not see them."""
    own: list[str] = []
    index = 0
    while index < len(words) and words[index].startswith("-"):
        word = words[index]
        index += 1
        if word == "--":
            break
        if word in _WITH_VALUE and index < len(words):
            # joined, or argparse would take a value that begins with a dash for an option
            own.append(f"{word}={words[index]}" if word.startswith("--") else word)
            own += [] if word.startswith("--") else [words[index]]
            index += 1
        else:
            own.append(word)
    return own, words[index:]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="smddprun",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_placement(parser)
    _add_environment(parser)
    _add_supervision(parser)
    parser.add_argument(
        "--distribution",
        metavar="FILE",
        help="run a script (train.py, not python train.py) as a training job: FILE is JSON with the SageMaker SDK's "
        "dictionary 'distribution', or with that and other arguments of smddp.launch.Job",
    )
    parser.add_argument(
        "--mpirun",
        metavar="PATH",
        help="the mpirun to use; default: the one beside this Python, else the first on PATH",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the command, fit for pasting into a shell, and stop"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="examine the hosts first, as smddp doctor does, and start nothing after an error; needs no program",
    )
    parser.add_argument(
        "--version", action="version", version=f"smddprun {version()}", help="print the version and stop"
    )
    return parser


def _add_placement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-np",
        "-n",
        dest="process_count",
        type=_process_count,
        metavar="N",
        help="number of ranks; default: the slots of the host list, else one per processor core",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "-H",
        "--host",
        "--hosts",
        dest="host_lists",
        action="append",
        default=[],
        metavar="HOSTS",
        help="hosts and their slots, such as node1:8,node2:8; counts are a limit, a list without any is not; "
        "may be repeated",
    )
    place.add_argument(
        "--hostfile",
        dest="hostfiles",
        action="append",
        default=[],
        metavar="FILE",
        help="the same from a file: lines 'host', 'host:N' or 'host slots=N', or a scheduler's node file",
    )
    parser.add_argument("--oversubscribe", action="store_true", help="allow more ranks than the slots of the host list")


def _add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-x",
        dest="exports",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="set a variable in the ranks, or forward this shell's, also by pattern ('AWS_*'); may be repeated",
    )
    parser.add_argument(
        "--mpi-options",
        action="append",
        default=[],
        metavar="WORDS",
        help='more options for mpirun, one quoted argument: --mpi-options "-verbose -x NCCL_DEBUG=VERSION"; '
        "may be repeated",
    )


def _add_supervision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        help="end the job after so long, with exit code 124: 90, 90s, 15m, 2h",
    )
    parser.add_argument(
        "--tag-output", action="store_true", help="begin each line of output with the rank that prints it"
    )
    parser.add_argument(
        "--log-dir",
        dest="log_folder",
        metavar="DIR",
        help="write all that rank N prints to DIR/rank-N.log on its host, too",
    )
    parser.add_argument(
        "--bind",
        dest="binding",
        choices=[binding.value for binding in Binding],
        default=Binding.NONE.value,
        help="let each rank, with its threads and data loading, run only on its share of the host's cores (core), or "
        "on the cores of one NUMA node (numa); default: none",
    )


def version() -> str:
    """Return the version that is installed, in words for people."""
    try:
        return metadata.version("smddp")
    except metadata.PackageNotFoundError:
        return "(smddp is not installed as a package)"


def _process_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 7 and int(text) >= 1):
        msg = f"expected a number of ranks, at least 1, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _seconds(text: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        msg = f"expected a time such as 90, 90s, 15m or 2h, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return float(found[1]) * _UNITS[found[2]]


def _split_shell(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        msg = f"--mpi-options {text!r}: {str(error).lower()}"
        raise SMDDPArgumentError(msg) from error


def _read_hosts(host_lists: list[str], hostfiles: list[str]) -> tuple[Host, ...]:
    if host_lists:
        # one by one first, so that a mistake is shown in the words that hold it
        for host_list in host_lists:
            parse_host_list(host_list)
        return parse_host_list(",".join(host_lists))
    if not hostfiles:
        return ()
    if len(hostfiles) > 1:
        msg = f"--hostfile is given {len(hostfiles)} times ({', '.join(hostfiles)}): put all hosts into one file"
        raise SMDDPArgumentError(msg)
    (hostfile,) = hostfiles
    try:
        text = Path(hostfile).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"--hostfile {hostfile}: cannot read it: {reason}"
        raise SMDDPArgumentError(msg) from error
    return parse_hostfile(text, hostfile)

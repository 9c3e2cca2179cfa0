"""The ``smddp`` command."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from smddp import __version__
from smddp.config import SETTINGS, read_settings
from smddp.errors import SMDDPArgumentError, SMDDPError
from smddp.identity import read_identity
from smddp.tools.bench.options import Options, add_arguments, read_options

__all__ = ["main"]

_BENCH_DESCRIPTION = (
    "Time collectives on NumPy arrays over all ranks of the job that a launcher started (smddprun -np 4 smddp bench), "
    "or of this machine, and hold each against what the machine allows. Letters are those of nccl-tests."
)


def _framework(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _adapter(module: str) -> str:
    return "built" if importlib.util.find_spec(module) is not None else "not built"


def _secret_source(secret: str) -> str:
    return "SMDDP_JOB_SECRET" if secret else "random, through the framework's store; or from the job id without one"


def info() -> None:
    """Print what is built, who this process is, and every setting with its origin."""
    settings = read_settings()
    identity = read_identity(os.environ)
    print(f"smddp {__version__}")
    print(f"torch {_framework('torch')}, adapter {_adapter('smddp._torch')}")
    print("transports shm, tcp")
    print(f"rank {identity.rank} of {identity.size} (from: {identity.source})")
    print(f"connections are authenticated with: {_secret_source(settings.job_secret)}")
    for setting in SETTINGS:
        value = getattr(settings, setting.field)
        default = "; ".join(filter(None, ["default", setting.framework_default]))
        set_by = settings.origins.get(setting.field, default)
        shown = "(secret)" if setting.field == "job_secret" and value else value
        print(f"{setting.name} = {shown} ({set_by})")


def bench(options: Options, words: Sequence[str]) -> int:
    """Time collectives as one rank of a job, or start the ranks; returns the exit code.

    Raises:
        SMDDPError: options that cannot be, or what went wrong between the ranks.
    """
    from smddp.tools.bench.run import check_options, run_rank
    from smddp.tools.bench.start import run_comparison, start_ranks

    check_options(options)
    identity = read_identity(os.environ)
    if identity.source == "single":
        ranks = options.ranks or len(os.sched_getaffinity(0))
        return run_comparison(options, ranks) if options.compare else start_ranks(words, ranks)
    if options.compare:
        msg = "--compare starts the ranks of all libraries itself: run it outside a job, with --ranks"
        raise SMDDPArgumentError(msg)
    if options.ranks not in (None, identity.size):
        msg = f"--ranks {options.ranks}: this job has {identity.size} ranks already; leave --ranks out"
        raise SMDDPArgumentError(msg)
    return run_rank(options)


def _run(words: argparse.Namespace, rest: Sequence[str]) -> int:
    code = 0
    if words.command == "info":
        info()
    else:
        code = bench(read_options(words), rest)
    sys.stdout.flush()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``smddp`` command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="smddp", description="Look at an smddp installation.")
    parser.add_argument("--version", action="version", version=f"smddp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="what is built and configured, and where each value comes from")
    bench_parser = commands.add_parser(
        "bench", help="time collectives beside what the machine allows", description=_BENCH_DESCRIPTION
    )
    add_arguments(bench_parser)
    words = parser.parse_args(argv)
    try:
        return _run(words, (sys.argv[1:] if argv is None else argv)[1:])
    except SMDDPError as problem:  # some of which are ValueErrors too
        parser.exit(2, f"smddp: {problem}\n")
    except ValueError as problem:
        bench_parser.error(str(problem))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; without this Python complains again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1

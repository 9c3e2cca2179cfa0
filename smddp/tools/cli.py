"""The ``smddp`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from smddp import __version__
from smddp.errors import SMDDPArgumentError, SMDDPError
from smddp.identity import read_identity
from smddp.tools.bench.options import Options, add_arguments, read_options
from smddp.tools.plan.options import add_plan_arguments, read_plan_options
from smddp.tools.simulate.options import add_simulate_arguments, read_simulate_options
from smddp.tools.topo.options import add_topo_arguments, read_topo_options
from smddp.tools.tune.options import add_tune_arguments, read_tune_options

__all__ = ["main"]

_BENCH_DESCRIPTION = (
    "Time collectives on NumPy arrays, or on CUDA tensors (--device cuda), over all ranks of the job that a launcher "
    "started (smddprun -np 4 smddp bench), or of this machine, and hold each against what the machine allows. Letters "
    "are those of nccl-tests."
)
_TOPO_DESCRIPTION = (
    "Show what a job runs on: this machine, all hosts of the job that a launcher started (smddprun -np 4 smddp topo), "
    "an EC2 instance type, or a file."
)
_PLAN_DESCRIPTION = (
    "Show which algorithm the planner chooses between hosts, with the times that its cost model predicts and that the "
    "simulator finds. Needs neither the hosts nor a network."
)
_SIMULATE_DESCRIPTION = (
    "Simulate a training step with data parallelism on GPU instances that need not be there: its time, scaling "
    "efficiency and exposed communication, each as a band over what is not known exactly."
)
_TUNE_DESCRIPTION = (
    "Measure what messages between the hosts of a job take (smddprun -np 2 -H node1,node2 smddp tune), and write the "
    "costs with which SMDDP_COSTS makes the planner choose algorithms (docs/tuning.md)."
)


def bench(options: Options, words: Sequence[str]) -> int:
    """Time collectives as one rank of a job, or start the ranks; returns the exit code.

    Raises:
        SMDDPError: options that cannot be, or what went wrong between the ranks.
    """
    from smddp.tools.bench.gpus import count_gpus
    from smddp.tools.bench.run import check_options, run_rank
    from smddp.tools.bench.start import run_comparison, start_ranks

    check_options(options)
    gpus = count_gpus() if options.device == "cuda" else 0
    identity = read_identity(os.environ)
    if identity.source == "single" and gpus:
        return start_ranks(words, options.ranks or gpus)
    if identity.source == "single":
        ranks = options.ranks or len(os.sched_getaffinity(0))
        return run_comparison(options, ranks) if options.compare else start_ranks(words, ranks)
    if options.compare and not gpus:
        msg = "--compare starts the ranks of all libraries itself: run it outside a job, with --ranks"
        raise SMDDPArgumentError(msg)
    if options.ranks not in (None, identity.size):
        msg = f"--ranks {options.ranks}: this job has {identity.size} ranks already; leave --ranks out"
        raise SMDDPArgumentError(msg)
    if gpus:
        from smddp.tools.bench.gpu_run import run_gpu_rank

        return run_gpu_rank(options)
    return run_rank(options)


def doctor(words: Sequence[str]) -> int:
    """Run ``smddp doctor`` with these words; returns the exit code.

    Raises:
        SMDDPError: it could not examine the hosts.
    """
    from smddp.tools.doctor.run import main as run_doctor

    return run_doctor(words)


def _run(parser: argparse.ArgumentParser, given: Sequence[str]) -> int:
    if given[:1] == ["doctor"]:  # which has smddprun's options, and values among them that begin with a dash
        code = doctor(given[1:])
    elif (words := parser.parse_args(given)).command == "info":
        from smddp.tools.info import info

        info(as_json=words.json)
        code = 0
    elif words.command == "topo":
        from smddp.tools.topo.run import topo

        code = topo(read_topo_options(words))
    elif words.command == "plan":
        from smddp.tools.plan.run import plan

        code = plan(read_plan_options(words))
    elif words.command == "simulate":
        from smddp.tools.simulate.run import simulate

        code = simulate(read_simulate_options(words))
    elif words.command == "tune":
        from smddp.tools.tune.run import tune

        code = tune(read_tune_options(words))
    else:
        code = bench(read_options(words), given[1:])
    sys.stdout.flush()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``smddp`` command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="smddp", description="Look at an smddp installation.")
    parser.add_argument("--version", action="version", version=f"smddp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    info_parser = commands.add_parser(
        "info", help="what is built, found and configured, and where each value comes from"
    )
    info_parser.add_argument("--json", action="store_true", help="print it as JSON")
    commands.add_parser("doctor", help="examine the hosts of a job before it starts (smddp doctor --help)")
    topo_parser = commands.add_parser(
        "topo", help="hosts, NUMA nodes, rails and GPUs, as text, file or picture", description=_TOPO_DESCRIPTION
    )
    add_topo_arguments(topo_parser)
    plan_parser = commands.add_parser(
        "plan", help="the algorithms of a collective between hosts, and the one chosen", description=_PLAN_DESCRIPTION
    )
    add_plan_arguments(plan_parser)
    simulate_parser = commands.add_parser(
        "simulate", help="a training step on hosts that are not there", description=_SIMULATE_DESCRIPTION
    )
    add_simulate_arguments(simulate_parser)
    tune_parser = commands.add_parser(
        "tune", help="measure what messages between hosts take, for the planner", description=_TUNE_DESCRIPTION
    )
    add_tune_arguments(tune_parser)
    bench_parser = commands.add_parser(
        "bench", help="time collectives beside what the machine allows", description=_BENCH_DESCRIPTION
    )
    add_arguments(bench_parser)
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(parser, given)
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

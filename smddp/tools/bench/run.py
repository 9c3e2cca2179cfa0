"""The benchmark itself, in each rank."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Sequence

import numpy as np

import smddp
from smddp import _core
from smddp.collectives import Communicator
from smddp.dtypes import DTYPES, OPS
from smddp.errors import SMDDPArgumentError
from smddp.tools.bench.collectives import Trial, bus_factor, make_trial
from smddp.tools.bench.gpus import check_gpu_options
from smddp.tools.bench.limits import Limits, probe_limits
from smddp.tools.bench.options import Options, buffers_for, iterations_for
from smddp.tools.bench.peer import Smddp
from smddp.tools.bench.report import (
    Row,
    describe_limits,
    header,
    line,
    write_csv,
    write_json,
)
from smddp.tools.bench.timing import slowest_calls, time_loop

__all__ = ["check_options", "run_rank"]


def check_options(options: Options) -> None:
    """Refuse what no rank could do, before any rank starts.

    Raises:
        SMDDPArgumentError: the message says what is possible.
    """
    # These can be reduced; NumPy itself has no bfloat16.
    plain = [name for name, dtype in DTYPES.items() if _core.is_defined(OPS["sum"], dtype)]
    if options.device == "cpu":
        plain.remove("bfloat16")
    if options.dtype not in plain:
        msg = f"-d {options.dtype}: choose from float, double, half, {', '.join(plain)}"
        raise SMDDPArgumentError(msg)
    if options.op not in OPS or not _core.is_defined(OPS[options.op], DTYPES[options.dtype]):
        msg = f"-o {options.op}: not an operation on {options.dtype}; choose from {', '.join(OPS)}"
        raise SMDDPArgumentError(msg)
    if options.plot is not None and importlib.util.find_spec("matplotlib") is None:
        msg = "--plot needs matplotlib: pip install matplotlib"
        raise SMDDPArgumentError(msg)
    check_gpu_options(options)
    for path in (options.json, options.csv, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            msg = f"{path}: there is no folder {path.absolute().parent}"
            raise SMDDPArgumentError(msg)


def run_rank(options: Options) -> int:
    """Measure, as one rank of the job; rank 0 reports. Returns the exit code: 1 when a result was wrong."""
    communicator = smddp.init()
    limits = probe_limits(communicator, max(options.sizes))
    is_first = communicator.rank == 0
    if is_first:
        machine = _machine(communicator)
        print("# smddp bench:", ", ".join(f"{name} {value}" for name, value in machine.items()))
        print(describe_limits(limits), flush=True)
    rows = []
    for name in options.collectives:
        if is_first:
            print(header(name))
        for size in options.sizes:
            rows.append(_measure(communicator, limits, options, name, size))
            if is_first:
                print(line(rows[-1]), flush=True)
    if is_first:
        _write(options, machine, limits, rows)
    smddp.shutdown()
    return 1 if any(row.wrong for row in rows) else 0


def _machine(communicator: Communicator) -> dict[str, object]:
    return {
        "version": smddp.__version__,
        "ranks": communicator.size,
        "transport": communicator.transport,
        "processors": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
    }


def _write(options: Options, machine: dict[str, object], limits: Limits, rows: Sequence[Row]) -> None:
    if options.json is not None:
        write_json(options.json, {"machine": machine, "limits": limits.as_dict()}, rows)
    if options.csv is not None:
        write_csv(options.csv, rows)
    if options.plot is not None:
        from smddp.tools.bench.plot import draw

        memory = ", registered memory" if options.registered else ""
        draw(options.plot, rows, f"{machine['ranks']} ranks, {machine['transport']}, {options.dtype}{memory}")


def _measure(communicator: Communicator, limits: Limits, options: Options, collective: str, size: int) -> Row:
    trials = _trials(communicator, options, collective, size)
    calls = [trial.call for trial in trials]
    values = trials[0].inputs(communicator.rank)
    for trial in trials:
        trial.source[:] = values
    wrong = None
    if options.check:
        calls[0]()
        wrong = _count_wrong(communicator, trials[0])
    count = iterations_for(options, size)
    for i in range(options.warmup):
        calls[i % len(calls)]()
    times = slowest_calls(communicator, calls, count, lambda i: np.copyto(trials[i % len(trials)].source, values))
    if options.check:  # the last of the timed calls as well
        wrong = (wrong or 0) + _count_wrong(communicator, trials[(count - 1) % len(trials)])
    for trial in trials:
        trial.source[:] = 0  # so that sums of sums stay finite
    loop = time_loop(communicator, calls, count)
    largest = max(trials[0].source.nbytes, trials[0].target.nbytes)
    # Between hosts the network is the limit, and alone nothing has to be moved.
    limit = limits.seconds(collective, largest) if communicator.transport == "shm" else None
    algbw = largest / loop.seconds
    return Row(
        collective=collective,
        size=largest,
        count=largest // trials[0].source.itemsize,
        dtype=options.dtype,
        op=options.op,
        time_s=loop.seconds,
        algbw=algbw,
        busbw=algbw * bus_factor(collective, communicator.size),
        wrong=wrong,
        p50_s=float(np.percentile(times, 50)),
        p99_s=float(np.percentile(times, 99)),
        processor_s=loop.processor_seconds,
        limit_s=limit,
        efficiency=None if limit is None else limit / loop.seconds,
    )


def _trials(communicator: Communicator, options: Options, collective: str, size: int) -> list[Trial]:
    library = Smddp(communicator)
    return [
        make_trial(library, collective, options.dtype, options.op, size, registered=options.registered)
        for _ in range(buffers_for(size))
    ]


def _count_wrong(communicator: Communicator, trial: Trial) -> int:
    wrong = np.array([trial.wrong()])
    communicator.all_reduce(wrong)
    return int(wrong[0])

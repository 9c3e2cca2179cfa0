"""Tuning, in each rank."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import smddp
from smddp.collectives import Communicator
from smddp.costs import dumps
from smddp.costs.fit import Sample, fit
from smddp.errors import SMDDPArgumentError, SMDDPSystemError
from smddp.tools.tune.measure import measure
from smddp.tools.tune.options import Options
from smddp.tools.tune.report import Report, defaults_for
from smddp.tools.tune.trials import make_trials

__all__ = ["tune"]

_REFUSED = 2


def tune(options: Options) -> int:
    """Measure, as one rank of the job; rank 0 reports and writes the file. Returns the exit code.

    Raises:
        SMDDPArgumentError: on rank 0 alone: there is nothing to measure, or no place for the file.
        SMDDPError: what went wrong between the ranks.
    """
    communicator = smddp.init()
    is_first = communicator.rank == 0
    problem = _problem(communicator, options.output, force=options.force) if is_first else ""
    refused = np.array([len(problem)])
    communicator.broadcast(refused)
    if refused[0]:
        smddp.shutdown()
        if is_first:
            raise SMDDPArgumentError(problem)
        return _REFUSED
    topology, transport = communicator.topology, communicator.transport.rpartition("+")[2]
    if is_first:
        sys.stdout.write(f"smddp tune: measures for about {options.seconds:g} s at most\n")
        sys.stdout.flush()
    measured = measure(make_trials(topology), options)
    smddp.shutdown()
    if is_first:
        samples = [Sample(each.trial.work, each.seconds) for each in measured]
        fitted = fit(samples, defaults_for(topology))
        report = Report(topology=topology, transport=transport, measured=measured, fitted=fitted)
        sys.stdout.write("\n".join(report.lines()) + "\n\n")
        _write(options.output, dumps({transport: fitted.costs}, report.record()))
        told = f"written to {options.output}; use it with SMDDP_COSTS={options.output.absolute()} on every rank"
        sys.stdout.write(told + "\n")
    return 0


def _problem(communicator: Communicator, output: Path, *, force: bool) -> str:
    """Why there is nothing to measure, or no place for the result; empty: there is."""
    if len(communicator.topology.hosts) == 1:
        return (
            "there is nothing between hosts to tune, as all ranks are on one host; start one rank or more on several "
            "hosts, as in smddprun -np 2 -H node1,node2 smddp tune"
        )
    if not output.absolute().parent.is_dir():
        return f"--output {output}: there is no folder {output.absolute().parent}"
    if output.exists() and not force:
        return f"--output {output}: it is there already; --force writes it anew"
    return ""


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        msg = f"cannot write {path}: {problem.strerror}"
        raise SMDDPSystemError(msg) from None

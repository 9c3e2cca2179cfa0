"""Starting one probe on each host, by smddprun as the job would be."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smddp.identity import RANK_VARIABLES
from smddp.launch.option_words import option_words
from smddp.launch.spec import Dialect, Host, Options
from smddp.launch.supervision.kernel import die_with_parent
from smddp.launch.training.run import smddprun_command
from smddp.tools.doctor.lines import read_results

__all__ = ["Started", "clean_environment", "count_hosts", "start_probes"]

#: smddprun ends its job in two steps of ten seconds each.
_PATIENCE_SECONDS = 40.0
_MAPPING = ("map-by", "rank-by", "npernode", "N", "ppn", "rankfile", "rf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What became of the probes: results by rank, and all that was printed on standard error."""

    results: Mapping[int, Any] = field(default_factory=dict)
    messages: str = ""


def start_probes(options: Options, count: int, dialect: Dialect, words: Sequence[str], seconds: float) -> Started:
    """Run ``smddp doctor`` with these words on each host.

    Args:
        options: of the job.
        count: number of hosts.
        dialect: of its mpirun.
        words: for the probes.
        seconds: that they may take.
    """
    spread: tuple[str, ...] = ()
    if not options.hosts:  # a scheduler's, which mpirun knows
        spread = ("-ppn", "1") if dialect is Dialect.HYDRA else ("--map-by", "ppr:1:node")
    probes = dataclasses.replace(
        options,
        program=(*_smddp_command(), "doctor", *words),
        process_count=count,
        hosts=tuple(Host(host.name, 1) for host in options.hosts),
        mpi_options=(*_without_mapping(options.mpi_options), *spread),
        oversubscribe=False,
        timeout=seconds,
    )
    # What ssh or mpirun print while they wait is kept apart from what probes say.
    process = subprocess.Popen(
        [*smddprun_command(), *option_words(probes)],
        env=clean_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=_end_with_doctor,
    )
    try:
        output, messages = process.communicate(timeout=seconds + _PATIENCE_SECONDS)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return Started(results=read_results(output), messages=messages)


def count_hosts(options: Options, env: Mapping[str, str]) -> int:
    """How many hosts a job of these options has; in an allocation those that the scheduler chose."""
    if options.hosts:
        return len(options.hosts)
    for name in ("SLURM_JOB_NUM_NODES", "SLURM_NNODES"):
        if env.get("SLURM_JOB_ID") and env.get(name, "").isdecimal():
            return int(env[name])
    for name in ("PBS_NODEFILE", "LSB_DJOB_HOSTFILE", "PE_HOSTFILE"):
        if env.get(name):
            try:
                lines = Path(env[name]).read_text(encoding="utf-8").splitlines()
            except OSError:
                continue
            return len({line.split()[0] for line in lines if line.strip()}) or 1
    return 1


def _without_mapping(options: Sequence[str]) -> list[str]:
    """How the job's ranks are laid out over a host is not for probes."""
    kept = []
    words = iter(options)
    for word in words:
        if word.lstrip("-") in _MAPPING:
            next(words, None)
        elif word.lstrip("-").partition("=")[0] not in _MAPPING:
            kept.append(word)
    return kept


def clean_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what says that this process is a rank."""
    return {name: value for name, value in env.items() if name not in RANK_VARIABLES}


def _smddp_command() -> tuple[str, ...]:
    # The script rather than -m, which would put the user's folder first on the path.
    script = Path(sys.executable).absolute().parent / "smddp"
    return (str(script),) if script.is_file() else (sys.executable, "-m", "smddp.tools")


def _end_with_doctor() -> None:
    die_with_parent(signal.SIGTERM)

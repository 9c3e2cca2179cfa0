"""``smddprun --distribution job.json train.py``: a training job from a file, on the command line.

The file holds the dictionary ``distribution`` itself, or the arguments of `smddp.launch.job.Job` with it among them:

    {"distribution": {"smdistributed": {"dataparallel": {"enabled": true}}},
     "instance_count": 2, "hyperparameters": {"epochs": 3}, "inputs": {"train": "data/train"}}

Paths are relative to the current folder, in which the script runs if the file has no ``source_dir``. ``inputs`` and
``job_name`` go to `Job.fit`. ``-np`` is the number of all ranks; ``-H`` takes the place of ``hosts``.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smddp.errors import SMDDPArgumentError
from smddp.launch.hosts import format_hosts
from smddp.launch.job import Job
from smddp.launch.spec import Options
from smddp.launch.training.paths import channel_paths
from smddp.launch.training.run import Output
from smddp.launch.training.settings import check_places

__all__ = ["read_job_file", "run_job_file"]

_STRATEGIES = ("smdistributed", "pytorchddp", "torch_distributed", "mpi")
_KEYS = (
    *("distribution", "source_dir", "hyperparameters", "instance_count", "instance_type", "processes_per_host"),
    *("hosts", "environment", "output_path", "base_job_name", "dependencies", "container_log_level"),
    *("inputs", "job_name"),
)
_SCRIPTS = (".py", ".sh")


def run_job_file(options: Options) -> int:
    """Run the job that ``options.distribution`` describes; returns its exit code.

    Raises:
        SMDDPArgumentError: the file, or what it says together with the command line, makes no job.
    """
    settings = read_job_file(str(options.distribution))
    channels = channel_paths(settings.pop("inputs", None))
    job_name = settings.pop("job_name", None)
    script, arguments = _cut(options.program)
    job = Job(
        script,
        **{"source_dir": ".", **settings, **_placed(options, settings)},
        arguments=arguments,
        launcher=options,
    )
    prepared = job.prepare(channels, job_name)
    if options.dry_run:
        return subprocess.run(prepared.argv, env=prepared.env, check=False).returncode
    sys.stderr.write(f"smddprun: the files of this job are in {prepared.run.job_dir}\n")
    return prepared.start(Output.SHOWN).wait(check=False).exit_code or 0


def read_job_file(name: str) -> dict[str, Any]:
    """Return what the file holds, as arguments of Job and of fit.

    Raises:
        SMDDPArgumentError: it cannot be read, or has a key that is none of these.
    """
    where = f"--distribution {name}"
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{where}: cannot read it: {error.strerror}"
        raise SMDDPArgumentError(msg) from error
    except ValueError as error:
        msg = f"{where}: it is not JSON: {error}"
        raise SMDDPArgumentError(msg) from error
    if not isinstance(content, dict):
        msg = f"{where}: expected a dictionary, not {content!r}"
        raise SMDDPArgumentError(msg)
    if content.keys() & set(_STRATEGIES):
        return {"distribution": content}
    for key in content:
        _check_key(where, key)
    return content


def _check_key(where: str, key: str) -> None:
    if key in _KEYS:
        return
    if key in ("entry_point", "arguments"):
        msg = f"{where}: leave {key} out of the file: the script and its arguments are on the command line"
        raise SMDDPArgumentError(msg)
    near = difflib.get_close_matches(key, [*_KEYS, *_STRATEGIES], n=1)
    hint = f": did you mean {near[0]!r}?" if near else f"; known here: {', '.join(_KEYS)}"
    msg = f"{where}: unknown key {key!r}{hint}"
    raise SMDDPArgumentError(msg)


def _cut(program: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return (script, its arguments); a Python in front of the script is this one."""
    if len(program) > 1 and Path(program[0]).name.startswith("python") and program[1].endswith(_SCRIPTS):
        program = program[1:]
    if not program[0].endswith(_SCRIPTS):
        msg = f"with --distribution name the script itself: smddprun --distribution job.json train.py, not {program[0]}"
        raise SMDDPArgumentError(msg)
    return program[0], list(program[1:])


def _placed(options: Options, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of Job that the command line says instead of the file."""
    placed: dict[str, Any] = {}
    if options.hosts:
        hosts = [dataclasses.replace(host, slots=None) for host in options.hosts] if options.process_count else None
        placed = {"hosts": format_hosts(hosts or options.hosts), "instance_count": None}
        if any(host.slots is not None for host in options.hosts):
            placed["processes_per_host"] = None
    if options.process_count is None:
        return placed
    places = check_places(settings.get("hosts"), settings.get("instance_count"), None)
    count = len(options.hosts) or places.instance_count
    if options.process_count % count:
        msg = f"-np {options.process_count}: the ranks must be equally many on each of {count} hosts"
        raise SMDDPArgumentError(msg)
    return {**placed, "processes_per_host": options.process_count // count}

"""A training job on machines of one's own, described as for the SageMaker SDK.

    from smddp.launch import Job

    job = Job(
        entry_point="train.py",
        hyperparameters={"epochs": 3},
        instance_count=2,
        distribution={"smdistributed": {"dataparallel": {"enabled": True}}},
    )
    run = job.fit({"train": "data/train"})  # run.model_dir, run.output_dir, run.exit_code, run.duration_s

The script finds what the SageMaker training toolkit would give it: SM_* variables, ``--name value`` for each
hyperparameter, its folder as the working directory. smddprun starts the ranks.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smddp.alone import drop_inherited
from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.identity import read_identity
from smddp.launch.option_words import option_words
from smddp.launch.spec import Host, Options
from smddp.launch.training import facts, rank
from smddp.launch.training.entry_point import find_entry_point
from smddp.launch.training.environment import Training
from smddp.launch.training.folder import JobFolder, RankSettings
from smddp.launch.training.hyperparameters import user_arguments
from smddp.launch.training.paths import channel_paths, local_path
from smddp.launch.training.run import Output, TrainingRun, smddprun_command
from smddp.launch.training.settings import check_environment, check_parameters, check_places, check_whole_number

__all__ = ["Job", "PreparedJob"]

logger = logging.getLogger("smddp.launch")

_OUTPUT_PATH = "smddp-jobs"
_JOB_NAME = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}")
_SILENT = ("None", "none", "", False, None)


class Job:
    """One script, its hyperparameters, and where its ranks run. `fit` may be called several times.

    Args:
        entry_point: the script, inside ``source_dir`` if that is given.
        source_dir: folder of the script; default: the one that the script is in. All ranks run in it.
        hyperparameters: values that JSON can hold. Those of an SDK estimator are taken too, names beginning with
            ``sagemaker_`` included, once their JSON is decoded.
        instance_count: number of hosts; default: that of ``hosts``, else 1. Without ``hosts`` all ranks run on this
            machine, and only the script is told of so many.
        instance_type: what the script is told; any text.
        distribution: see `smddp.launch.distribution`.
        processes_per_host: default: that of the ``mpi`` dictionary, else the number of GPUs, else 1. Without a
            strategy it is 1.
        hosts: names of machines that see the same files as this one, and which mpirun can reach.
        environment: variables for the ranks.
        output_path: where each job gets a folder of its own; default: ``smddp-jobs``.
        base_job_name: begins the names of jobs; default: the script's name.
        dependencies: more files or folders for the script to import.
        arguments: more words for the script, after the hyperparameters.
        container_log_level: SM_LOG_LEVEL.
        framework_module: SM_FRAMEWORK_MODULE.
        tells_model_dir: whether the script gets ``--model_dir``, as TensorFlow's scripts do.
        launcher: more options of smddprun; those that say what runs where are replaced.

    Raises:
        SMDDPArgumentError: the message names the argument and what it expects.
    """

    def __init__(
        self,
        entry_point: str | os.PathLike[str],
        *,
        source_dir: str | os.PathLike[str] | None = None,
        hyperparameters: Mapping[str, object] | None = None,
        instance_count: int | None = None,
        instance_type: str | None = None,
        distribution: Mapping[str, object] | None = None,
        processes_per_host: int | None = None,
        hosts: str | Sequence[str] | None = None,
        environment: Mapping[str, object] | None = None,
        output_path: str | os.PathLike[str] | None = None,
        base_job_name: str | None = None,
        dependencies: Sequence[str | os.PathLike[str]] = (),
        arguments: Sequence[str] = (),
        container_log_level: int = logging.INFO,
        framework_module: str | None = None,
        tells_model_dir: bool = False,
        launcher: Options | None = None,
    ) -> None:
        self._entry = find_entry_point(entry_point, source_dir)
        self._instance_type = instance_type or "local"
        self._parameters = check_parameters(hyperparameters, distribution, self._instance_type)
        self._places = check_places(hosts, instance_count, processes_per_host)
        self._environment = check_environment(environment)
        self._output_path = local_path(_OUTPUT_PATH if output_path is None else output_path, "output_path")
        self._base_name = _checked_name("base_job_name", base_job_name or _name_from(self._entry.name))
        self._dependencies = [local_path(path, "dependencies") for path in dependencies]
        self._arguments = list(arguments)
        self._log_level = check_whole_number("container_log_level", container_log_level)
        self._framework_module = framework_module
        self._tells_model_dir = tells_model_dir
        self._launcher = launcher or Options(program=())

    @property
    def processes_per_host(self) -> int:
        """Number of ranks on each host; asks the machine for its GPUs where nobody has said."""
        distribution = self._parameters.distribution
        given = self._places.processes_per_host or distribution.processes_per_host
        if given is not None:
            return given
        return max(facts.gpu_count(), 1) if distribution.is_enabled else 1

    def fit(
        self,
        inputs: object = None,
        *,
        wait: bool = True,
        logs: str | bool | Sequence[str] | None = "All",
        job_name: str | None = None,
    ) -> TrainingRun:
        """Run the job.

        Args:
            inputs: paths by channel, or one path for the channel "training". Plain or ``file://``.
            wait: whether to return only at its end. If not, call ``wait()`` of what is returned; the job goes on
                without this process.
            logs: whether its output appears here: False, None or "None" keep it in output/log.txt alone, and so does
                ``wait=False``.
            job_name: of this job; default: base name and time.

        Returns:
            paths, exit code and duration of the job.

        Raises:
            SMDDPArgumentError: a bad input or name, or a job of that name exists.
            JobFailedError: the job failed; the message begins with the first lines of its error.
        """
        run = self.prepare(channel_paths(inputs), job_name).start(_output(wait, logs))
        return run.wait() if wait else run

    def prepare(self, channels: Mapping[str, Path], job_name: str | None) -> PreparedJob:
        """Lay out the job's folder.

        Raises:
            SMDDPError: it cannot be made, or this process is a rank of a job itself.
        """
        env = _outside_environment()
        name = _checked_name("job_name", job_name or _timed_name(self._base_name))
        folder = JobFolder(self._output_path / name)
        plan = self._plan(folder, name, tuple(sorted(channels)))
        folder.create(channels)
        folder.write_config(plan.training, plan.ranks)
        for note in plan.notes:
            logger.warning(note)
        return PreparedJob(
            argv=[*smddprun_command(), *option_words(plan.options)],
            env=env,
            run=TrainingRun(name, folder, plan.command),
        )

    def _plan(self, folder: JobFolder, name: str, channels: tuple[str, ...]) -> _Plan:
        processes = self.processes_per_host
        mpi_options, exports = self._parameters.distribution.mpi_words()
        assigned, named = _split_assigned((*exports, *self._launcher.exports))
        training = self._training(folder, name, channels)
        command = self._entry.words([*user_arguments(training.hyperparameters), *self._arguments])
        wrapper = [sys.executable, "-I", rank.__file__, str(folder.ranks), str(processes)]
        options = replace(
            self._launcher,
            program=(*wrapper, *command),
            process_count=processes * self._places.instance_count,
            hosts=tuple(Host(host, processes) for host in self._places.hosts),
            mpi_options=(*mpi_options, *self._launcher.mpi_options),
            exports=named,
            distribution=None,
        )
        return _Plan(
            options=options,
            training=training,
            ranks=RankSettings(
                directory=self._entry.directory,
                environment={**self._environment, "PYTHONPATH": self._python_path()},
                exports=assigned,
            ),
            command=command,
            notes=self._notes(processes),
        )

    def _training(self, folder: JobFolder, name: str, channels: tuple[str, ...]) -> Training:
        places = self._places
        hosts = places.hosts or tuple(f"algo-{number + 1}" for number in range(places.instance_count))
        is_here = all(facts.is_this_machine(host) for host in places.hosts)
        return Training(
            base=str(folder.base),
            job_name=name,
            module_dir=str(self._entry.directory),
            entry_point=self._entry.name,
            hosts=hosts,
            instance_type=self._instance_type,
            is_distributed=self._parameters.distribution.is_enabled,
            hyperparameters=self._parameters.user | ({"model_dir": str(folder.model)} if self._tells_model_dir else {}),
            framework_parameters=self._parameters.framework,
            channels=channels,
            network_interface="lo" if is_here else facts.network_interface(),
            cpu_count=os.cpu_count() or 1,
            gpu_count=facts.gpu_count(),
            log_level=self._log_level,
            framework_module=self._framework_module,
        )

    def _python_path(self) -> str:
        inherited = self._environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        folders = [self._entry.directory, *(path.parent for path in self._dependencies)]
        return os.pathsep.join([*dict.fromkeys(map(str, folders)), *filter(None, [inherited])])

    def _notes(self, processes: int) -> list[str]:
        notes = []
        count = self._places.instance_count
        if not self._places.hosts and count > 1 and not os.environ.get("SLURM_JOB_ID"):
            notes.append(
                f"no hosts are given, so all {count * processes} ranks of {count} instances run on this machine"
            )
        if self._parameters.distribution.is_enabled and count * processes == 1:
            notes.append("no GPU and one instance make one rank: give processes_per_host for more")
        if (self._entry.directory / "requirements.txt").is_file():
            notes.append("requirements.txt is not installed here: the script uses this Python's packages")
        return notes


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A job whose folder is there: the smddprun that runs it, and what will be known of it."""

    argv: list[str]
    env: dict[str, str]
    run: TrainingRun

    def start(self, output: Output) -> TrainingRun:
        """Start it."""
        self.run.start(self.argv, self.env, output)
        return self.run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    options: Options
    training: Training
    ranks: RankSettings
    command: list[str]
    notes: list[str]


def _outside_environment() -> dict[str, str]:
    """The environment for smddprun, which must not think that it is a rank."""
    env = dict(os.environ)
    # this process may have made itself a world of one
    drop_inherited(env, None)
    identity = read_identity(env)
    if identity.size > 1:
        msg = (
            f"this process is rank {identity.rank} of {identity.size}, and each rank would start a job of its own: "
            "call fit outside of a job"
        )
        raise SMDDPStateError(msg)
    return env


def _split_assigned(exports: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return (values to set in the ranks, names to forward); of two for one name the last counts."""
    assigned: dict[str, str] = {}
    named: dict[str, None] = {}
    for export in exports:
        name, has_value, value = export.partition("=")
        assigned.pop(name, None)
        named.pop(name, None)
        if has_value:
            assigned[name] = value
        else:
            named[name] = None
    return assigned, tuple(named)


def _output(wait: bool, logs: str | bool | Sequence[str] | None) -> Output:
    if not wait:
        return Output.DETACHED
    return Output.KEPT if logs in _SILENT else Output.SHOWN


def _checked_name(what: str, name: object) -> str:
    if not isinstance(name, str) or not _JOB_NAME.fullmatch(name):
        msg = f"{what} {name!r} must have 1 to 63 letters, digits and hyphens, with no hyphen at an end"
        raise SMDDPArgumentError(msg)
    return name


def _name_from(script: str) -> str:
    words = re.findall("[A-Za-z0-9]+", Path(script).stem)
    return "-".join(words)[:32].strip("-") or "job"


def _timed_name(base: str) -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.localtime(now))
    return f"{base[:39].strip('-')}-{stamp}-{int(now * 1000) % 1000:03d}"

"""The SageMaker SDK's estimators (its version 2) as jobs on machines of one's own: one changed import.

    from smddp.launch.estimator import PyTorch  # from sagemaker.pytorch import PyTorch

    estimator = PyTorch(
        entry_point="train.py",
        role=role,
        instance_count=2,
        instance_type="ml.p4d.24xlarge",
        framework_version="2.2.0",
        py_version="py310",
        distribution={"smdistributed": {"dataparallel": {"enabled": True}}},
    )
    estimator.fit({"train": "file:///data/train"})

What an argument means only to the service (role, image, disks, networks, limits) is accepted, and one debug line of the
log ``smddp.launch`` says which. Data and results are this machine's files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.launch.job import Job
from smddp.launch.training.paths import local_path
from smddp.launch.training.run import TrainingRun

__all__ = ["HuggingFace", "PyTorch", "TensorFlow"]

logger = logging.getLogger("smddp.launch")

#: Arguments of all estimators that mean nothing here.
_OF_THE_SERVICE = frozenset(
    {
        *("role", "framework_version", "py_version", "image_uri", "sagemaker_session", "compiler_config"),
        *("keep_alive_period_in_seconds", "volume_size", "volume_kms_key", "max_run", "input_mode", "output_kms_key"),
        *("tags", "subnets", "security_group_ids", "model_uri", "model_channel_name", "metric_definitions"),
        *("encrypt_inter_container_traffic", "use_spot_instances", "max_wait", "checkpoint_s3_uri"),
        *("checkpoint_local_path", "rules", "debugger_hook_config", "tensorboard_output_config"),
        *("enable_sagemaker_metrics", "enable_network_isolation", "profiler_config", "disable_profiler"),
        *("max_retry_attempts", "code_location", "training_repository_access_mode"),
        *("training_repository_credentials_provider_arn", "enable_infra_check", "disable_output_compression"),
        *("enable_remote_debug", "enable_session_tag_chaining", "training_plan", "instance_placement_config"),
    }
)
#: Arguments that say what runs, in a way that cannot be had here, and what to do instead.
_REFUSED = {
    "git_config": "clone the repository and give source_dir",
    "instance_groups": "give instance_count: all hosts are of one kind",
    "container_entry_point": "give entry_point",
    "container_arguments": "give hyperparameters",
    "training_recipe": "give entry_point and hyperparameters",
    "recipe_overrides": "give hyperparameters",
}
_PYTORCH_MODULE = "sagemaker_pytorch_container.training:main"
_TENSORFLOW_MODULE = "sagemaker_tensorflow_container.training:main"


class _Framework:
    """What the estimators share.

    Args:
        entry_point: the script.
        source_dir: its folder.
        hyperparameters: of the script.
        distribution: see `smddp.launch.distribution`.
        instance_count: number of hosts.
        instance_type: what the script is told; any text.
        hosts: as in `Job`; not the SDK's.
        processes_per_host: as in `Job`; not the SDK's.
        environment: variables for the ranks.
        output_path: where each job gets a folder.
        base_job_name: begins the names of jobs.
        dependencies: more for the script to import.
        container_log_level: SM_LOG_LEVEL.
        of_the_service: the SDK's other arguments.

    Raises:
        SMDDPArgumentError: a bad value.
        TypeError: an argument that the SDK does not know either.
    """

    #: Arguments of this estimator alone: those that mean nothing here, and those that do.
    _ignored: ClassVar[frozenset[str]] = frozenset()
    _extra: ClassVar[frozenset[str]] = frozenset()
    _module: ClassVar[str] = _PYTORCH_MODULE

    def __init__(
        self,
        entry_point: str | os.PathLike[str] | None = None,
        *,
        source_dir: str | os.PathLike[str] | None = None,
        hyperparameters: Mapping[str, object] | None = None,
        distribution: Mapping[str, object] | None = None,
        instance_count: int | None = None,
        instance_type: str | None = None,
        hosts: str | Sequence[str] | None = None,
        processes_per_host: int | None = None,
        environment: Mapping[str, object] | None = None,
        output_path: str | os.PathLike[str] | None = None,
        base_job_name: str | None = None,
        dependencies: Sequence[str | os.PathLike[str]] | None = None,
        container_log_level: int = logging.INFO,
        **of_the_service: object,
    ) -> None:
        self._note_service_arguments(of_the_service)
        if entry_point is None:
            raise SMDDPArgumentError(type(self).__name__ + ": give entry_point, such as 'train.py'")
        self._hyperparameters = dict(hyperparameters or {})
        self._arguments = {
            "entry_point": entry_point,
            "source_dir": source_dir,
            "distribution": distribution,
            "instance_count": instance_count,
            "instance_type": instance_type,
            "hosts": hosts,
            "processes_per_host": processes_per_host,
            "environment": environment,
            "output_path": output_path,
            "base_job_name": base_job_name,
            "dependencies": dependencies or (),
            "container_log_level": container_log_level,
            "framework_module": self._module,
            **self._special_arguments(of_the_service),
        }
        self.latest_training_job: TrainingRun | None = None
        self._make_job()  # mistakes are told here and not at fit

    def fit(
        self,
        inputs: object = None,
        wait: bool = True,
        logs: str | bool | Sequence[str] | None = "All",
        job_name: str | None = None,
        experiment_config: Mapping[str, object] | None = None,
    ) -> TrainingRun:
        """Run a job, as `Job.fit`; ``experiment_config`` means nothing here."""
        if experiment_config is not None:
            logger.debug("experiment_config is ignored: there is no experiment to report to")
        self.latest_training_job = self._make_job().fit(inputs, wait=wait, logs=logs, job_name=job_name)
        return self.latest_training_job

    def hyperparameters(self) -> dict[str, object]:
        """Return the script's hyperparameters."""
        return dict(self._hyperparameters)

    def set_hyperparameters(self, **hyperparameters: object) -> None:
        """Add to the script's hyperparameters."""
        self._hyperparameters.update(hyperparameters)

    @property
    def model_data(self) -> str:
        """``file://`` and the folder in which the last job has left its model.

        Raises:
            SMDDPStateError: there was no job yet.
        """
        if self.latest_training_job is None:
            msg = f"{type(self).__name__}.model_data: no job has run yet, call fit first"
            raise SMDDPStateError(msg)
        return local_path(self.latest_training_job.model_dir, "model_data").as_uri()

    def _make_job(self) -> Job:
        return Job(hyperparameters=self._hyperparameters, **self._arguments)  # type: ignore[arg-type]

    def _special_arguments(self, of_the_service: Mapping[str, object]) -> dict[str, object]:
        """Return arguments of Job that only this estimator gives."""
        del of_the_service
        return {}

    def _note_service_arguments(self, arguments: Mapping[str, object]) -> None:
        for name, value in arguments.items():
            if name in _REFUSED:
                if value is not None:
                    msg = f"{type(self).__name__}: {name} cannot be had here: {_REFUSED[name]}"
                    raise SMDDPArgumentError(msg)
            elif name not in _OF_THE_SERVICE | self._ignored | self._extra:
                msg = f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}"
                raise TypeError(msg)
        known = _OF_THE_SERVICE | self._ignored
        ignored = sorted(name for name, value in arguments.items() if value is not None and name in known)
        if ignored:
            logger.debug("these arguments mean something to the service alone: %s", ", ".join(ignored))


class PyTorch(_Framework):
    """``sagemaker.pytorch.PyTorch``."""


class TensorFlow(_Framework):
    """``sagemaker.tensorflow.TensorFlow``; as there, the script gets ``--model_dir``, unless ``model_dir=False``."""

    _extra = frozenset({"model_dir"})
    _module = _TENSORFLOW_MODULE

    def _special_arguments(self, of_the_service: Mapping[str, object]) -> dict[str, object]:
        model_dir = of_the_service.get("model_dir")
        if model_dir is None or model_dir is False:
            return {"tells_model_dir": model_dir is None}
        self._hyperparameters["model_dir"] = str(local_path(model_dir, "model_dir"))
        return {}


class HuggingFace(_Framework):
    """``sagemaker.huggingface.HuggingFace``."""

    _ignored = frozenset({"transformers_version", "pytorch_version", "tensorflow_version"})

    def _special_arguments(self, of_the_service: Mapping[str, object]) -> dict[str, object]:
        return {"framework_module": _TENSORFLOW_MODULE} if of_the_service.get("tensorflow_version") else {}

"""The SM_* variables of a training job, as the SageMaker training toolkit (5.1) sets them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from smddp.launch.training.hyperparameters import user_arguments

__all__ = [
    "Training",
    "host_variables",
    "input_data_config",
    "job_variables",
    "platform_parameters",
    "resource_config",
]

#: There is one kind of host, so all are in the group that the service calls so.
_GROUP = "homogeneousCluster"
_CHANNEL = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """All that the variables are made of.

    Args:
        base: the folder in the place of /opt/ml.
        module_dir: the folder of the script.
        entry_point: the script, relative to it.
        hosts: names in the order of ranks; the first is the master.
        is_distributed: whether the job has a strategy.
        channels: names.
        gpu_count: of this host, as cpu_count.
    """

    base: str
    job_name: str
    module_dir: str
    entry_point: str
    hosts: tuple[str, ...]
    instance_type: str
    is_distributed: bool
    hyperparameters: Mapping[str, object]
    framework_parameters: Mapping[str, object]
    channels: tuple[str, ...]
    network_interface: str
    cpu_count: int
    gpu_count: int
    log_level: int = 20
    framework_module: str | None = None


def resource_config(training: Training, host: str) -> dict[str, object]:
    """Return the content of resourceconfig.json on one host."""
    group = {
        "instance_group_name": _GROUP,
        "instance_type": training.instance_type,
        "hosts": list(training.hosts),
    }
    return {
        "current_host": host,
        "current_instance_type": training.instance_type,
        "current_group_name": _GROUP,
        "hosts": list(training.hosts),
        "instance_groups": [group],
        "network_interface_name": training.network_interface,
    }


def input_data_config(training: Training) -> dict[str, object]:
    """Return the content of inputdataconfig.json."""
    return {name: dict(_CHANNEL) for name in training.channels}


def platform_parameters(training: Training) -> dict[str, object]:
    """Return the hyperparameters by which the toolkit itself is told what to run."""
    return {
        "sagemaker_program": training.entry_point,
        "sagemaker_submit_directory": training.module_dir,
        "sagemaker_container_log_level": training.log_level,
        "sagemaker_job_name": training.job_name,
    }


def job_variables(training: Training) -> dict[str, str]:
    """Return the variables that are the same on all hosts."""
    facts = _facts(training, training.hosts[0])
    values = {name: facts[name] for name in _PUBLISHED}
    values["hps"] = facts["hyperparameters"]
    values["framework_params"] = facts["additional_framework_parameters"]
    values["channels"] = sorted(training.channels)
    values["user_args"] = user_arguments(training.hyperparameters)
    values |= {f"channel_{name}": path for name, path in _channel_dirs(training).items()}
    values |= {f"hp_{name}": value for name, value in training.hyperparameters.items()}
    names = {"TRAINING_JOB_NAME": training.job_name, "SAGEMAKER_JOB_NAME": training.job_name}
    return {f"SM_{name}".upper(): _text(value) for name, value in values.items()} | names


def host_variables(training: Training, host: str) -> dict[str, str]:
    """Return the variables that name the host itself."""
    return {
        "CURRENT_HOST": host,
        "SM_CURRENT_HOST": host,
        "SM_RESOURCE_CONFIG": _text(resource_config(training, host)),
        "SM_TRAINING_ENV": _text(_facts(training, host)),
    }


#: Members of SM_TRAINING_ENV that are variables of their own under the same name.
_PUBLISHED = (
    *("hosts", "network_interface_name", "user_entry_point", "input_data_config", "output_data_dir"),
    *("current_instance_type", "current_instance_group", "current_instance_group_hosts", "instance_groups"),
    *("instance_groups_dict", "distribution_instance_groups", "is_hetero", "module_name", "log_level"),
    *("framework_module", "input_dir", "input_config_dir", "output_dir", "num_cpus", "num_gpus", "num_neurons"),
    *("model_dir", "module_dir", "output_intermediate_dir"),
)


def _facts(training: Training, host: str) -> dict[str, object]:
    return {**_folders(training), **_cluster(training, host), **_job(training)}


def _folders(training: Training) -> dict[str, object]:
    base = training.base
    return {
        "channel_input_dirs": _channel_dirs(training),
        "input_dir": f"{base}/input",
        "input_config_dir": f"{base}/input/config",
        "model_dir": f"{base}/model",
        "module_dir": training.module_dir,
        "output_dir": f"{base}/output",
        "output_data_dir": f"{base}/output/data",
        "output_intermediate_dir": f"{base}/output/intermediate",
    }


def _cluster(training: Training, host: str) -> dict[str, object]:
    hosts = list(training.hosts)
    resources = resource_config(training, host)
    group = {"instance_group_name": _GROUP, "instance_type": training.instance_type, "hosts": hosts}
    return {
        "current_host": host,
        "current_instance_group": _GROUP,
        "current_instance_group_hosts": hosts,
        "current_instance_type": training.instance_type,
        # a job without a strategy is distributed over no group
        "distribution_hosts": hosts if training.is_distributed else [],
        "distribution_instance_groups": [_GROUP] if training.is_distributed else [],
        "hosts": hosts,
        "instance_groups": [_GROUP],
        "instance_groups_dict": {_GROUP: group},
        "is_hetero": False,
        "is_master": host == hosts[0],
        "master_hostname": hosts[0],
        "network_interface_name": training.network_interface,
        "num_cpus": training.cpu_count,
        "num_gpus": training.gpu_count,
        "num_neurons": 0,
        "resource_config": resources,
        "topology": [],
    }


def _job(training: Training) -> dict[str, object]:
    return {
        "additional_framework_parameters": dict(training.framework_parameters),
        "framework_module": training.framework_module,
        "hyperparameters": dict(training.hyperparameters),
        "input_data_config": input_data_config(training),
        "is_modelparallel_enabled": None,
        "is_smddpmprun_installed": True,
        "is_smddprun_installed": True,
        "job_name": training.job_name,
        "log_level": training.log_level,
        "module_name": training.entry_point.removesuffix(".py"),
        "user_entry_point": training.entry_point,
    }


def _channel_dirs(training: Training) -> dict[str, str]:
    return {name: f"{training.base}/input/data/{name}" for name in training.channels}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

"""What a user asks SageMaker for, and what the hosts have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

__all__ = ["EFA_INSTANCE", "PYTORCH", "TENSORFLOW", "SdkDriver", "TrainingJob", "after", "data_parallel"]

#: A type for which the toolkit adds all it knows for Elastic Fabric Adapters.
EFA_INSTANCE = "ml.p4d.24xlarge"

#: Values of SAGEMAKER_TRAINING_MODULE, which an image sets.
PYTORCH = "sagemaker_pytorch_container.training:main"
TENSORFLOW = "sagemaker_tensorflow_container.training:main"


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkDriver:
    """A driver of SageMaker's SDK 3, which brings its own launcher along instead of using the image's toolkit.

    Attributes:
        script: the file that runs on every host.
        config: fields of the runner that the user gives to ModelTrainer.
        folder: where the script is, if it is none of the SDK's own.
    """

    script: str
    config: Mapping[str, object]
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """A training job.

    Attributes:
        script: file of tests/sagemaker/scripts.
        hyperparameters: the user's, and those that the SDK makes of the `distribution` dictionary.
        hosts: 1 or 2.
        gpus: how many nvidia-smi lists on each host; 0: there is no nvidia-smi.
        instance_type: information for the toolkit.
        toolkit: PYTORCH or TENSORFLOW.
        driver: started in place of the toolkit.
        without: programs that the hosts do not have.
        until_master_ends: do not wait for the other hosts; the toolkit leaves them waiting for minutes after a failure.
    """

    script: str
    hyperparameters: Mapping[str, object]
    hosts: int = 1
    gpus: int = 2
    instance_type: str = EFA_INSTANCE
    toolkit: str = PYTORCH
    driver: SdkDriver | None = None
    without: tuple[str, ...] = field(default=())
    until_master_ends: bool = False


def data_parallel(options: str = "", instance_type: str = EFA_INSTANCE) -> dict[str, object]:
    """What the SDK 2 makes of {"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": ...}}}."""
    return {
        "sagemaker_distributed_dataparallel_enabled": True,
        "sagemaker_distributed_dataparallel_custom_mpi_options": options,
        "sagemaker_instance_type": instance_type,
    }


def after(job: TrainingJob) -> pytest.MarkDecorator:
    """Give a test the end of this job as its argument `finished`."""
    return pytest.mark.parametrize("finished", [job], indirect=True, ids=[("one_host", "two_hosts")[job.hosts - 1]])

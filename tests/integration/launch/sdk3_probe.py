"""Run by the Python that has version 3 of the SageMaker SDK.

sdk3_probe.py SOURCE_DIR TARGET OPTIONS    ModelTrainer's folder of drivers, for a job of ours, copied to TARGET
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from unittest.mock import MagicMock

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train.model_trainer import Mode, ModelTrainer

from smddp.sagemaker import SMDataParallel


def refused(**fields: object) -> str:
    """What the SDK says of bad fields."""
    try:
        SMDataParallel(**fields)
    except ValueError as error:
        return str(error)
    return ""


def main(source_dir: str, target: str, options: str) -> None:
    assert "holds -np: leave it out" in refused(custom_mpi_options="-np 3")
    assert "cannot pass on a single quote" in refused(custom_mpi_options="""-x "A='" """)
    same = SMDataParallel(custom_mpi_options=r"""-verbose -x 'A="b\c" $d'""").custom_mpi_options
    assert "'" not in same
    assert shlex.split(same) == ["-verbose", "-x", r'A="b\c" $d']
    assert "must be at least 1, not 0" in refused(process_count_per_node=0)
    assert "Extra inputs are not permitted" in refused(process_count_per_host=2)
    with tempfile.TemporaryDirectory() as root:
        trainer = ModelTrainer(
            training_mode=Mode.LOCAL_CONTAINER,
            local_container_root=root,
            training_image="registry/image:tag",
            role="arn:aws:iam::123456789012:role/r",
            sagemaker_session=MagicMock(spec=Session, boto_region_name="us-west-2", sagemaker_config={}),
            source_code=SourceCode(source_dir=source_dir, entry_script="train.py"),
            compute=Compute(instance_type="ml.c5.xlarge", instance_count=1),
            hyperparameters={"lr": 0.5},
            distributed=SMDataParallel(process_count_per_node=2, custom_mpi_options=options),
        )
        trainer._create_training_job_args()
        shutil.copytree(trainer._temp_code_dir.name, target)
        trainer._temp_code_dir.cleanup()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Run by the Python that has version 2 of the SageMaker SDK and the training toolkit; prints one line of JSON.

sdk2_probe.py estimators SOURCE_DIR    what estimators send, by case
sdk2_probe.py toolkit HOST             what the toolkit makes of the folder SAGEMAKER_BASE_DIR on this host
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from unittest.mock import MagicMock, patch

from sdk2_cases import CASES, HYPERPARAMETERS


def estimators(source_dir: str) -> dict[str, dict[str, str]]:
    from sagemaker.huggingface import HuggingFace
    from sagemaker.pytorch import PyTorch
    from sagemaker.tensorflow import TensorFlow

    classes = {"PyTorch": PyTorch, "TensorFlow": TensorFlow, "HuggingFace": HuggingFace}
    sent = {}
    for name, case in CASES.items():
        session = MagicMock(boto_region_name="us-west-2", local_mode=False, config=None, sagemaker_config={})
        session.default_bucket.return_value = "bucket"
        session.default_bucket_prefix = None
        session.settings.local_download_dir = None
        session.settings.include_jumpstart_tags = False
        estimator = classes[case["estimator"]](
            entry_point="train.py",
            source_dir=source_dir,
            role="arn:aws:iam::123456789012:role/r",
            instance_count=2,
            instance_type="ml.p4d.24xlarge",
            image_uri="registry/image:tag",
            sagemaker_session=session,
            hyperparameters=HYPERPARAMETERS,
            distribution=case["distribution"],
            **case.get("more", {}),
        )
        estimator._prepare_for_training(job_name="job-1")
        sent[name] = estimator.hyperparameters()
    return sent


def toolkit(host: str) -> dict[str, object]:
    from sagemaker_training import environment, runner

    resources = environment.read_resource_config()
    env = environment.Environment(resource_config={**resources, "current_host": host})
    return {"variables": env.to_env_vars(), **start(env, runner)}


def start(env: Any, runner: Any) -> dict[str, object]:
    """How the framework's toolkit would start the script."""
    from sagemaker_pytorch_container import training

    with patch("sagemaker_pytorch_container.training.entry_point.run") as run, patch.dict(os.environ):
        training.train(env)
    given = run.call_args.kwargs
    process = runner.get(given["runner_type"], given["user_entry_point"], given["args"], given["env_vars"])
    return {"runner": given["runner_type"].name, "arguments": given["args"], "command": process._create_command()}


if __name__ == "__main__":
    result = {"estimators": estimators, "toolkit": toolkit}[sys.argv[1]](sys.argv[2])
    # the toolkit logs on standard output
    print("\n" + json.dumps(result))

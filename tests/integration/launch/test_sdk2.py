"""What estimators of the SageMaker SDK, version 2, send: the training toolkit and our Job make the same of it.

The SDK and the toolkit are in an environment of their own (requirements-sagemaker-sdk2.txt), and SMDDP_TEST_SDK2 may
name its Python.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from integration.launch.sdk2_cases import CASES, HYPERPARAMETERS

from smddp.launch import Job
from smddp.launch.distribution import parse_distribution
from smddp.launch.options import parse_options
from smddp.launch.spec import Options
from smddp.launch.training import facts
from smddp.launch.training.hyperparameters import decode, split

from support.jobs import BIN, REPOSITORY, run_job

SDK2 = Path(os.environ.get("SMDDP_TEST_SDK2", REPOSITORY / "build/sagemaker-sdk2/bin/python"))
PROBE = Path(__file__).with_name("sdk2_probe.py")
MODULES = {"TensorFlow": "sagemaker_tensorflow_container.training:main"}
PYTORCH_MODULE = "sagemaker_pytorch_container.training:main"

pytestmark = [
    pytest.mark.sagemaker,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not SDK2.exists(),
        reason=f"version 2 of the SageMaker SDK is not at {SDK2}: see requirements-sagemaker-sdk2.txt",
    ),
]


def probe(*words: str | Path, **env: str) -> Any:
    # the commands that the toolkit looks for are beside this Python
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    quiet = {"SAGEMAKER_SUPPRESS_V2_WARNING": "1", "SM_STUDIO_LOCAL_MODE": "true", "PYTHONWARNINGS": "ignore"}
    job = run_job([SDK2, PROBE, *words], timeout=200, env={**quiet, "PATH": path, **env})
    return json.loads(job.check().last_line)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "train.py").touch()
    return folder


@pytest.fixture(scope="module")
def sent(source: Path) -> dict[str, dict[str, str]]:
    """What each case's estimator sends."""
    result: dict[str, dict[str, str]] = probe("estimators", source)
    return result


@pytest.mark.parametrize("name", CASES)
def test_our_dictionary_says_what_the_estimator_sends(sent: dict[str, dict[str, str]], name: str) -> None:
    received = split(decode(sent[name]))
    user = {key: value for key, value in received.user.items() if key != "model_dir"}  # TensorFlow's own
    assert user == HYPERPARAMETERS
    ours = parse_distribution(CASES[name]["distribution"]).to_framework_parameters("ml.p4d.24xlarge")
    if CASES[name]["estimator"] == "HuggingFace":
        assert received.framework.pop("sagemaker_pytorch_ddp_enabled") is True
        assert ours.pop("sagemaker_distributed_dataparallel_enabled") is True
        assert ours.pop("sagemaker_distributed_dataparallel_custom_mpi_options") == ""
    assert received.framework == ours


@pytest.mark.parametrize("name", CASES)
def test_job_and_toolkit_agree(
    sent: dict[str, dict[str, str]], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(facts, "gpu_count", lambda: 0)
    module = MODULES.get(CASES[name]["estimator"], PYTORCH_MODULE)
    (tmp_path / "data").mkdir()
    job = Job(
        "train.py",
        source_dir=source,
        hyperparameters=decode(sent[name]),
        instance_count=2,
        instance_type="ml.p4d.24xlarge",
        output_path=tmp_path,
        framework_module=module,
    )
    prepared = job.prepare({"train": tmp_path / "data", "test-1": tmp_path / "data"}, "job-1")
    base = Path(prepared.run.job_dir)
    # the file that the toolkit reads is the one that the SDK sends, but for the place of the script
    written = decode(json.loads((base / "input/config/hyperparameters.json").read_text(encoding="utf-8")))
    elsewhere = {"sagemaker_region": "us-west-2", "sagemaker_submit_directory": str(source)}
    assert {**written, "sagemaker_region": "us-west-2"} == {**decode(sent[name]), **elsewhere}

    ranks = json.loads((base / "input/config/ranks.json").read_text(encoding="utf-8"))
    environment = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_TRAINING_MODULE": module, "TRAINING_JOB_NAME": "job-1"}
    for number, host in enumerate(["algo-1", "algo-2"]):
        theirs = probe("toolkit", host, **environment)
        ours = {**ranks["variables"], **ranks["hosts"][number]}
        assert {key: value for key, value in ours.items() if key.startswith("SM_")} == theirs["variables"]
        if number == 0:  # workers only wait for it
            compare_starts(theirs, parse_options(prepared.argv[1:]), CASES[name])


def compare_starts(theirs: dict[str, Any], ours: Options, case: dict[str, Any]) -> None:
    assert (theirs["runner"], ours.process_count) == (case["runner"], case["ranks"])
    command = theirs["command"]
    if "-np" in command:
        assert int(command[command.index("-np") + 1]) == case["ranks"]
        assert ("-verbose" in command) == ("-verbose" in ours.mpi_options)
    elif "--nnodes" in command:
        nodes, per_node = command.index("--nnodes") + 1, command.index("--nproc_per_node") + 1
        assert int(command[nodes]) * int(command[per_node]) == case["ranks"]
    assert list(ours.program[ours.program.index("train.py") + 1 :]) == theirs["arguments"]

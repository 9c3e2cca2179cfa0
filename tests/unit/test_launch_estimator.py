from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.launch.estimator import HuggingFace, PyTorch, TensorFlow, _Framework
from smddp.launch.job import PreparedJob
from smddp.launch.options import parse_options
from smddp.launch.spec import Options
from smddp.launch.training import facts

pytestmark = pytest.mark.timeout(60)

ENABLED = {"smdistributed": {"dataparallel": {"enabled": True}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a script, on a machine without GPUs."""
    monkeypatch.setattr(facts, "gpu_count", lambda: 0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").touch()
    return tmp_path


def prepare(estimator: _Framework) -> tuple[PreparedJob, Options, dict[str, Any]]:
    prepared = estimator._make_job().prepare({}, None)
    ranks = json.loads((Path(prepared.run.job_dir) / "input/config/ranks.json").read_text(encoding="utf-8"))
    return prepared, parse_options(prepared.argv[1:]), ranks


def test_estimators_take_the_arguments_of_the_sdk(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "smddp.launch")
    estimator = PyTorch(
        entry_point="train.py",
        source_dir="src",
        role="arn:aws:iam::1:role/r",
        instance_count=2,
        instance_type="ml.p4d.24xlarge",
        framework_version="2.2.0",
        py_version="py310",
        distribution=ENABLED,
        hyperparameters={"lr": 1},
        base_job_name="digits",
        sagemaker_session=None,
        max_run=3600,
    )
    assert caplog.messages == [
        "these arguments mean something to the service alone: framework_version, max_run, py_version, role"
    ]
    estimator.set_hyperparameters(epochs=2)
    assert estimator.hyperparameters() == {"lr": 1, "epochs": 2}
    _, options, ranks = prepare(estimator)
    assert options.process_count == 2
    assert options.program[-4:] == ("--epochs", "2", "--lr", "1")
    assert ranks["variables"]["SM_FRAMEWORK_MODULE"] == "sagemaker_pytorch_container.training:main"
    with pytest.raises(SMDDPStateError, match=r"PyTorch.model_data: no job has run yet"):
        _ = estimator.model_data


def test_hugging_face(here: Path) -> None:
    arguments = {
        "transformers_version": "4.28",
        "py_version": "py310",
        "distribution": {"pytorchddp": {"enabled": True}},
    }
    _, _, ranks = prepare(HuggingFace("src/train.py", pytorch_version="2.0", **arguments))
    assert "sagemaker_distributed_dataparallel_enabled" in ranks["variables"]["SM_FRAMEWORK_PARAMS"]
    assert ranks["variables"]["SM_FRAMEWORK_MODULE"] == "sagemaker_pytorch_container.training:main"
    _, _, ranks = prepare(HuggingFace("src/train.py", tensorflow_version="2.6", py_version="py38"))
    assert ranks["variables"]["SM_FRAMEWORK_MODULE"] == "sagemaker_tensorflow_container.training:main"


def test_tensorflow_scripts_get_model_dir(here: Path) -> None:
    prepared, options, _ = prepare(TensorFlow("src/train.py"))
    assert options.program[-2:] == ("--model_dir", prepared.run.model_dir)
    _, options, _ = prepare(TensorFlow("src/train.py", model_dir=False))
    assert options.program[-1] == "train.py"
    _, options, _ = prepare(TensorFlow("src/train.py", model_dir="file:///m"))
    assert options.program[-2:] == ("--model_dir", "/m")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"roll": "r"}, TypeError, r"PyTorch.__init__\(\) got an unexpected keyword argument 'roll'"),
        ({"transformers_version": "4"}, TypeError, "unexpected keyword argument 'transformers_version'"),
        ({"git_config": {"repo": "x"}}, SMDDPArgumentError, "PyTorch: git_config cannot be had here: clone"),
        ({"entry_point": None}, SMDDPArgumentError, "PyTorch: give entry_point"),
        ({"instance_count": 0}, SMDDPArgumentError, "instance_count must be"),
    ],
)
def test_bad_arguments_of_estimators(
    here: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        PyTorch(**{"entry_point": "src/train.py", **arguments})

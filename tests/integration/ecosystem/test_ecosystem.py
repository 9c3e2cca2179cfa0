"""Libraries above PyTorch choose backend "smddp" and train with it: two ranks reach what one process reaches alone."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from support.jobs import BIN, run_job

SECONDS = 240  # DeepSpeed compiles an extension at its first start
pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(SECONDS + 30)]

HERE = Path(__file__).parent
RANKS = 2
MPIRUN = [str(BIN / "mpirun"), *(["--allow-run-as-root"] if os.geteuid() == 0 else []), "--oversubscribe", "-np", "2"]
SMDDPRUN = str(BIN / "smddprun")
LAUNCHERS = {
    "mpirun": [*MPIRUN, sys.executable],
    "mpirun smddprun": [*MPIRUN, SMDDPRUN, sys.executable, "-m", "mpi4py"],  # as SageMaker's containers do it
    "smddprun": [SMDDPRUN, "-np", "2", sys.executable],
    "torchrun": [str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2"],
    "none": [sys.executable],
}
#: What SageMaker's containers set for a job with smdistributed's data parallelism enabled, as far as libraries read it.
SAGEMAKER = {"SM_FRAMEWORK_PARAMS": json.dumps({"sagemaker_distributed_dataparallel_enabled": True})}
#: What `accelerate launch` sets for such a job.
ACCELERATE = {"ACCELERATE_USE_SAGEMAKER": "true", "ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE": "DATA_PARALLEL"}
#: accelerate's own switches: train on this device, not on CUDA's, and call DistributedDataParallel without device_ids.
ON_CPU = {"ACCELERATE_TORCH_DEVICE": "cpu", "ACCELERATE_BYPASS_DEVICE_MAP": "true"}

#: Largest difference of a weight from plain PyTorch's, which adds the same numbers in another order.
FLOAT64, FLOAT32 = 1e-12, 1e-5

Report = dict[str, Any]


def train(folder: Path, library: str, *arguments: str, launcher: str = "mpirun smddprun", **env: str) -> list[Report]:
    """Reports of both ranks; everything the library writes goes to `folder`."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed (make ecosystem)")
    env |= {
        "HF_HUB_OFFLINE": "1",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    job = run_job(
        [*LAUNCHERS[launcher], HERE / f"with_{library}.py", *arguments], timeout=SECONDS, env=env, cwd=folder
    ).check()
    reports = [json.loads(line) for line in job.stdout.splitlines() if line.startswith('{"')]
    reports.sort(key=lambda report: report["rank"])
    assert [(report["rank"], report["size"]) for report in reports] == [(rank, RANKS) for rank in range(RANKS)]
    assert {report["dist_backend"] for report in reports} == {"smddp"}
    return reports


def facts(reports: list[Report], *names: str) -> list[Any]:
    """What both ranks say of each name; they must agree."""
    assert len({json.dumps([report[name] for name in names]) for report in reports}) == 1, reports
    return [reports[0][name] for name in names]


def check_trained(reports: list[Report], tolerance: float = FLOAT64) -> None:
    assert len({report["bits"] for report in reports}) == 1, "the ranks ended with different weights"
    assert all(report["difference"] <= tolerance for report in reports), reports


def test_accelerate_as_in_sagemaker(tmp_path: Path) -> None:
    reports = train(tmp_path, "accelerate", **ACCELERATE, **ON_CPU)
    assert facts(reports, "backend", "distributed_type", "device") == ["smddp", "MULTI_GPU", "cpu"]
    assert facts(reports, "gathered", "averaged") == [[10.0, 11.0], [10.5]]
    check_trained(reports)


def test_accelerate_in_a_group_of_the_script(tmp_path: Path) -> None:
    reports = train(tmp_path, "accelerate", "joined", launcher="mpirun")
    # The name is accelerate's guess for CPUs; what counts is the group's own, checked for every report.
    assert facts(reports, "backend", "distributed_type", "device") == ["gloo", "MULTI_CPU", "cpu"]
    assert facts(reports, "gathered", "averaged") == [[10.0, 11.0], [10.5]]
    check_trained(reports)


def test_trainer_detects_sagemaker(tmp_path: Path) -> None:
    """All but the training: for that Trainer asks DistributedDataParallel for a CUDA device."""
    reports = train(tmp_path, "transformers", **SAGEMAKER, **ON_CPU)
    assert facts(reports, "detected", "parallel_mode", "backend") == [True, "sagemaker_data_parallel", "smddp"]
    assert facts(reports, "processes", "device") == [RANKS, "cpu"]
    assert len({report["eval_loss"] for report in reports}) == 1, "the losses were not gathered"
    for report in reports:
        assert report["local_rank"] == report["rank"]
        # SMDATAPARALLEL_LOCAL_RANK was there to be read.
        assert f"got device_ids [{report['rank']}]" in report["refusal"]


@pytest.mark.parametrize("how", ["sagemaker", "joined"])
def test_trainer_trains(how: str, tmp_path: Path) -> None:
    if how == "sagemaker":
        reports = train(tmp_path, "transformers", **ACCELERATE, **ON_CPU)
    else:
        reports = train(tmp_path, "transformers", "joined", launcher="mpirun")
    backend = "smddp" if how == "sagemaker" else "gloo"  # see test_accelerate_in_a_group_of_the_script
    assert facts(reports, "backend", "parallel_mode", "device", "refusal") == [backend, "distributed", "cpu", None]
    assert len({report["eval_loss"] for report in reports}) == 1, "the losses were not gathered"
    check_trained(reports)


@pytest.mark.parametrize(
    ("launcher", "arguments", "environment"),
    [
        ("mpirun smddprun", ["documented"], "LightningEnvironment"),
        ("smddprun", [], "MPIEnvironment"),
        ("torchrun", [], "TorchElasticEnvironment"),
        ("none", [], "LightningEnvironment"),  # Lightning starts the other rank
    ],
)
def test_lightning(launcher: str, arguments: list[str], environment: str, tmp_path: Path) -> None:
    reports = train(tmp_path, "lightning", *arguments, launcher=launcher)
    assert facts(reports, "environment", "backend", "averaged") == [environment, "smddp", 0.5]
    check_trained(reports)


def test_deepspeed(tmp_path: Path) -> None:
    reports = train(tmp_path, "deepspeed", launcher="mpirun", DS_ACCELERATOR="cpu")
    assert facts(reports, "processes") == [RANKS]
    for stage in range(4):
        check_trained([report["stages"][str(stage)] for report in reports], FLOAT32)

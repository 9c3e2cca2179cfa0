"""`SMDataParallel` in ModelTrainer of the SageMaker SDK, version 3, and its driver among the SDK's own, on one host.

The SDK is in an environment of its own (requirements-sagemaker-sdk3.txt), and SMDDP_TEST_SDK3 may name its Python. The
SDK's scripts run as they are, but for the places they write to and the name of the host.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.jobs import BIN, REPOSITORY, Job, run_job

SDK3 = Path(os.environ.get("SMDDP_TEST_SDK3", REPOSITORY / "build/sagemaker-sdk3/bin/python"))
PROBE = Path(__file__).with_name("sdk3_probe.py")

pytestmark = [
    pytest.mark.sagemaker,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not SDK3.exists(),
        reason=f"version 3 of the SageMaker SDK is not at {SDK3}: see requirements-sagemaker-sdk3.txt",
    ),
]

#: What a host has in fixed places, and where it is here.
PLACES = {"/opt/ml": "{base}", "/etc/environment": "{base}/environment", "/usr/sbin/sshd": "{base}/sshd"}

SCRIPT = """
import json, os, sys
import numpy as np
import smddp

comm = smddp.init()
array = np.full(3, 2.0 ** comm.rank)
comm.all_reduce(array)
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "A", "SM_FRAMEWORK_PARAMS", "SMDATAPARALLEL_USE_SINGLENODE")
found = {"sum": array.tolist(), "argv": sys.argv[1:], **{name: os.environ.get(name) for name in names}}
with open(os.path.join(os.environ["SM_OUTPUT_DIR"], f"rank-{comm.rank}.json"), "w") as file:
    json.dump(found, file)
smddp.shutdown()
if comm.rank == 1 and os.environ.get("A") == "fail":
    raise ValueError("rank 1 does not like it")
"""

#: The drivers' helpers import it to reach other hosts, of which there are none.
PARAMIKO = """
class client:
    class MissingHostKeyPolicy:
        pass
"""


def make_host(base: Path, options: str) -> None:
    """Lay out a host as the service does, with the channels that ModelTrainer sends."""
    data = base / "input/data"
    (data / "code").mkdir(parents=True)
    (data / "code/train.py").write_text(SCRIPT, encoding="utf-8")
    probe = [SDK3, PROBE, data / "code", data / "sm_drivers", options]
    run_job(probe, timeout=200, env={"PYTHONPATH": str(REPOSITORY), "AWS_DEFAULT_REGION": "us-west-2"}).check()
    for file in (*data.glob("sm_drivers/**/*.py"), data / "sm_drivers/sm_train.sh"):
        text = file.read_text(encoding="utf-8")
        for place, here in PLACES.items():
            text = text.replace(place, here.format(base=base))
        if file.name == "environment.py":
            text = text.replace('SM_MASTER_ADDR = "algo-1"', 'SM_MASTER_ADDR = "localhost"')
        file.write_text(text, encoding="utf-8")
    (base / "output").mkdir()
    (base / "input/config").mkdir()
    resources = {
        "current_host": "localhost",
        "hosts": ["localhost"],
        "current_instance_type": "ml.p4d.24xlarge",
        "network_interface_name": "lo",
    }
    for name, content in (("resourceconfig", resources), ("inputdataconfig", {}), ("hyperparameters", {"lr": "0.5"})):
        (base / f"input/config/{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (base / "sshd").write_text("#!/bin/sh\n", encoding="utf-8")
    (base / "sshd").chmod(0o755)
    (base / "stub").mkdir()
    (base / "stub/paramiko.py").write_text(PARAMIKO, encoding="utf-8")


def train(base: Path) -> Job:
    """What the container runs."""
    env = {
        "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
        "PYTHONPATH": str(base / "stub"),
        "TRAINING_JOB_NAME": "job-1",
    }
    return run_job(["bash", base / "input/data/sm_drivers/sm_train.sh"], timeout=200, env=env, cwd=base)


def test_job_of_the_model_trainer(tmp_path: Path) -> None:
    make_host(tmp_path, "-verbose -x 'A=b c'")
    job = train(tmp_path).check()
    assert "Running SMDataParallel Driver" in job.stdout
    for rank in range(2):
        found = json.loads((tmp_path / f"output/rank-{rank}.json").read_text(encoding="utf-8"))
        assert found == {
            "sum": [3.0] * 3,
            "argv": ["--lr", "0.5"],
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_RANK": str(rank),
            "A": "b c",
            "SM_FRAMEWORK_PARAMS": '{"sagemaker_distributed_dataparallel_enabled": true}',
            "SMDATAPARALLEL_USE_SINGLENODE": "1",
        }
    assert not (tmp_path / "output/failure").exists()
    assert "SMDDP_JOB_SECRET" not in (tmp_path / "environment").read_text(encoding="utf-8")


def test_failure_file_says_what_the_script_said(tmp_path: Path) -> None:
    make_host(tmp_path, "-x A=fail")
    job = train(tmp_path)
    assert job.returncode == 1
    failure = (tmp_path / "output/failure").read_text(encoding="utf-8")
    assert failure.startswith("ExecuteUserScriptError:\nExitCode 1\n")
    assert "ValueError: rank 1 does not like it" in failure[:300]


def ask_driver(base: Path, expression: str, **env: str) -> str:
    """Evaluate an expression beside the driver."""
    folder = base / "input/data/sm_drivers/distributed_drivers"
    variables = {
        "PYTHONPATH": os.pathsep.join([str(base / "stub"), str(folder)]),
        "SM_ENTRY_SCRIPT": "train.py",
        "SM_HPS": '{"lr": 0.5}',
        "SM_MASTER_ADDR": "algo-1",
        "SM_CURRENT_INSTANCE_TYPE": "ml.p4d.24xlarge",
    }
    code = f"import smdataparallel_driver as driver; print(repr({expression}))"
    return run_job([sys.executable, "-c", code], timeout=60, env={**variables, **env}).check().last_line


def test_command_for_two_hosts(tmp_path: Path) -> None:
    make_host(tmp_path, "")
    config = {"process_count_per_node": 2, "custom_mpi_options": "-x 'A=b c'"}
    command = eval(ask_driver(tmp_path, f"driver.mpirun_command(['algo-1', 'algo-2'], {config})"))
    # the SDK's own MPI driver says -np 2 here, and leaves the second host idle
    assert command[command.index("-np") + 1] == "4"
    assert command[command.index("--host") + 1] == "algo-1:2,algo-2:2"
    wrapper = command.index("smddprun")
    assert command[wrapper:] == ["smddprun", sys.executable, "-m", "mpi4py", "train.py", "--lr", "0.5"]
    exports = [after for before, after in itertools.pairwise(command[:wrapper]) if before == "-x"]
    assert {
        *("A=b c", "SMDDP_JOB_SECRET", "FI_PROVIDER=efa", "SAGEMAKER_INSTANCE_TYPE=ml.p4d.24xlarge"),
        *("SMDATAPARALLEL_SERVER_ADDR=algo-1", "SMDATAPARALLEL_SERVER_PORT=7592", "SMDATAPARALLEL_USE_HOMOGENEOUS=1"),
    } <= set(exports)


def test_image_without_smddprun(tmp_path: Path) -> None:
    make_host(tmp_path, "")
    said = ask_driver(tmp_path, "driver.run(['true'])", PATH="/nowhere")
    assert said == repr((1, f"smddprun is not on PATH: install smddp for {sys.executable} in this image"))


def test_without_the_sdk() -> None:
    code = "import smddp.sagemaker\ntry:\n    smddp.sagemaker.SMDataParallel\nexcept ImportError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("smddp.sagemaker needs version 3 of the SageMaker Python SDK: pip install")

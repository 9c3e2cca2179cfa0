"""Files of a simulated host: /opt/ml as the service fills it, names, keys, and the programs of an image."""

from __future__ import annotations

import json
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support.jobs import REPOSITORY
from support.sagemaker.cluster import HostSetup, network_of
from support.sagemaker.job import SdkDriver, TrainingJob

__all__ = ["SCRIPTS", "VENV", "host_names", "prepare_hosts"]

VENV = REPOSITORY / "build" / "sagemaker-toolkit"
SCRIPTS = REPOSITORY / "tests" / "sagemaker" / "scripts"

TOOLS = "/opt/ml/tools"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def host_names(job: TrainingJob) -> list[str]:
    """Names of the hosts, as the service gives them; the first is the master."""
    return [f"algo-{index + 1}" for index in range(job.hosts)]


def prepare_hosts(job: TrainingJob, folder: Path) -> list[HostSetup]:
    """Write the files of all hosts of a job below `folder`, each host's in a folder of its name."""
    keys = folder / "ssh"
    _write_keys(keys)
    for name in host_names(job):
        root = folder / name
        _write_service_files(job, name, root / "ml")
        _write_tools(job, root / "ml" / "tools")
        shutil.copytree(keys, root / "ssh")
        (root / "tmp").mkdir()
        (root / "environment").touch()
        (root / "hosts").write_text(_names(job))
    return [_setup(job, index, folder) for index in range(job.hosts)]


def _setup(job: TrainingJob, index: int, folder: Path) -> HostSetup:
    name = host_names(job)[index]
    root = folder / name
    mounts = [
        (root / "ml", "/opt/ml"),
        (root / "ssh", "/root/.ssh"),
        (root / "hosts", "/etc/hosts"),
        (root / "environment", "/etc/environment"),
        # What cannot be executed is not found.
        *(("/dev/null", VENV / "bin" / program) for program in job.without),
    ]
    needed = {REPOSITORY, Path(sys.base_prefix)}
    return HostSetup(
        name=name,
        argv=["/bin/bash", "-c", _sdk_command()] if job.driver else [str(VENV / "bin" / "train")],
        env=_image_environment(job, name),
        log=str(folder / f"{name}.log"),
        tmp=str(root / "tmp"),
        mounts=[(str(source), str(target)) for source, target in mounts],
        seen_in_tmp=sorted(str(path) for path in needed if path.is_relative_to("/tmp")),
    )


def _image_environment(job: TrainingJob, name: str) -> dict[str, str]:
    return {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": f"{TOOLS}:{VENV}/bin:{SYSTEM_PATH}",
        "AWS_REGION": "us-west-2",
        "TRAINING_JOB_NAME": "simulated",
        "CURRENT_HOST": name,
        "SAGEMAKER_TRAINING_MODULE": job.toolkit,
    }


def _names(job: TrainingJob) -> str:
    """/etc/hosts; the second form of an address is what a socket for both protocols sees."""
    lines = ["127.0.0.1 localhost"]
    network = network_of(job.hosts)
    for index, name in enumerate(host_names(job)):
        address = network.address(index)
        lines += [f"{address} {name}", f"::ffff:{address} {name}"]
    return "\n".join(lines) + "\n"


def _write_keys(folder: Path) -> None:
    """~/.ssh of every host: one key, which opens them all."""
    folder.mkdir(mode=0o700)
    key = folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=60)
    shutil.copy(key.with_suffix(".pub"), folder / "authorized_keys")
    (folder / "config").write_text("Host *\n  StrictHostKeyChecking no\n  LogLevel ERROR\n")


def _write_service_files(job: TrainingJob, name: str, ml: Path) -> None:
    """/opt/ml: configuration, code and empty folders."""
    for folder in ("input/config", "input/data", "model", "output/data", "code"):
        (ml / folder).mkdir(parents=True)
    hosts = host_names(job)
    group = {"instance_group_name": "all", "instance_type": job.instance_type, "hosts": hosts}
    resources = {
        "current_host": name,
        "hosts": hosts,
        "network_interface_name": "eth0",
        "current_instance_type": job.instance_type,
        "current_group_name": "all",
        "instance_groups": [group],
    }
    parameters = dict(job.hyperparameters)
    if job.driver:
        _write_driver(job.driver, job.script, ml / "input" / "data")
    else:
        shutil.copytree(SCRIPTS, ml / "submit")
        parameters |= {"sagemaker_program": job.script, "sagemaker_submit_directory": "/opt/ml/submit"}
    files = {
        "hyperparameters": {key: json.dumps(value) for key, value in parameters.items()},
        "resourceconfig": resources,
        "inputdataconfig": {},
    }
    for file, content in files.items():
        (ml / "input" / "config" / f"{file}.json").write_text(json.dumps(content))


def _write_driver(driver: SdkDriver, script: str, data: Path) -> None:
    """The channels that the SDK 3 uploads: its drivers with their start script, and the user's code."""
    sdk = next(VENV.glob("lib/python*/site-packages/sagemaker/train"))
    shutil.copytree(sdk / "container_drivers", data / "sm_drivers")
    if driver.folder is not None:
        shutil.copytree(driver.folder, data / "sm_drivers" / "distributed_drivers", dirs_exist_ok=True)
    shutil.copytree(SCRIPTS, data / "code")
    templates = runpy.run_path(str(sdk / "templates.py"))
    execute = templates["EXEUCTE_DISTRIBUTED_DRIVER"].format(driver_name="Driver", driver_script=driver.script)
    start = templates["TRAIN_SCRIPT_TEMPLATE"].format(
        working_dir="cd /opt/ml/input/data/code", install_requirements="", execute_driver=execute
    )
    (data / "sm_drivers" / "sm_train.sh").write_text(start)
    (data / "sm_drivers" / "sourcecode.json").write_text(json.dumps({"entry_script": script, "source_dir": "code"}))
    (data / "sm_drivers" / "distributed.json").write_text(json.dumps(driver.config))


def _sdk_command() -> str:
    return "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && /opt/ml/input/data/sm_drivers/sm_train.sh"


def _write_tools(job: TrainingJob, folder: Path) -> None:
    """Programs that go before all others on PATH."""
    folder.mkdir()
    # Where other MPIs are installed too, `mpirun` may be theirs.
    tools = {
        "mpirun": ["exec", "mpirun.openmpi"],
        "torchrun": ["exec", str(VENV / "bin" / "python"), "-m", "torch.distributed.run"],
    }
    for name, words in tools.items():
        _write_program(folder / name, [f'{shlex.join(words)} "$@"'])
    if job.gpus:
        _write_program(folder / "nvidia-smi", [f"echo 'GPU {gpu}: simulated'" for gpu in range(job.gpus)])


def _write_program(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)

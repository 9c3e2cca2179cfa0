"""Runs on every host of a job that `smddp.sagemaker.SMDataParallel` describes, beside the SDK's own drivers.

As their mpi_driver.py, whose helpers it uses, but for this: mpirun starts the ranks of all hosts and not only as many
as one host has, smddprun stands in front of each, and the failure file says what the script said.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from common.utils import (  # type: ignore[import-not-found]
    get_process_count,
    get_python_executable,
    hyperparameters_to_cli_args,
    logger,
    write_failure_file,
)
from distributed_drivers import mpi_utils  # type: ignore[import-not-found]

_SERVER_PORT = 7592  # where ranks of several hosts look for rank 0
_FRAMEWORK_PARAMETERS = {"sagemaker_distributed_dataparallel_enabled": True}


def main() -> None:
    """Serve as a worker until the first host says that the job is over; there, run it."""
    master = os.environ["SM_MASTER_ADDR"]
    # Libraries ask this variable whether the job uses smdistributed; the SDK sets it in version 2 alone.
    os.environ.setdefault("SM_FRAMEWORK_PARAMS", json.dumps(_FRAMEWORK_PARAMETERS))
    mpi_utils.write_env_vars_to_file()
    mpi_utils.start_sshd_daemon()
    if os.environ["SM_CURRENT_HOST"] != master:
        mpi_utils.bootstrap_worker_node(master)
        return
    hosts = json.loads(os.environ["SM_HOSTS"])
    workers = [host for host in hosts if host != master]
    mpi_utils.bootstrap_master_node(workers)
    # after the environment has been written down: every user of the host could read it there
    os.environ.setdefault("SMDDP_JOB_SECRET", secrets.token_hex(32))
    exit_code, failure = run(mpirun_command(hosts, json.loads(os.environ["SM_DISTRIBUTED_CONFIG"])))
    mpi_utils.write_status_file_to_workers(workers)
    if exit_code != 0:
        write_failure_file(failure)
        sys.exit(exit_code)


def mpirun_command(hosts: Sequence[str], config: dict[str, Any]) -> list[str]:
    """Return the SDK's command, repaired, with the script's arguments."""
    per_host = get_process_count(config["process_count_per_node"])
    script = os.environ["SM_ENTRY_SCRIPT"]
    command = mpi_utils.get_mpirun_command(
        host_count=len(hosts),
        host_list=[f"{host}:{per_host}" for host in hosts] if per_host > 1 else list(hosts),
        num_processes=per_host * len(hosts),
        additional_options=[*_exports(hosts), *shlex.split(config["custom_mpi_options"])],
        entry_script_path=script,
    )
    program = command.index(get_python_executable())
    arguments = hyperparameters_to_cli_args(json.loads(os.environ["SM_HPS"]))
    return [*command[:program], "smddprun", *command[program:], *arguments]


def run(command: Sequence[str]) -> tuple[int, str]:
    """Run the job and show its output; returns exit code and what the failure file is to say."""
    if shutil.which("smddprun") is None:
        return 1, f"smddprun is not on PATH: install smddp for {get_python_executable()} in this image"
    # here, because an image without smddp is told so first
    from smddp.launch.training.failure import ErrorLines, failure_text

    logger.info("Executing command: %s", shlex.join(command))
    errors = ErrorLines()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode("utf-8", errors="replace").rstrip()
            errors.add(text)
            logger.info(text)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return code, failure_text(errors.lines(), code, command)


def _exports(hosts: Sequence[str]) -> list[str]:
    """Return what version 2 had in each rank, and what ranks of several hosts need to meet."""
    exports = ["SMDDP_JOB_SECRET", "RDMAV_FORK_SAFE=1"]
    if len(hosts) == 1:
        exports.append("SMDATAPARALLEL_USE_SINGLENODE=1")
    else:
        exports += [
            "SMDATAPARALLEL_USE_HOMOGENEOUS=1",
            f"SMDATAPARALLEL_SERVER_ADDR={os.environ['SM_MASTER_ADDR']}",
            f"SMDATAPARALLEL_SERVER_PORT={_SERVER_PORT}",
            f"SAGEMAKER_INSTANCE_TYPE={os.environ['SM_CURRENT_INSTANCE_TYPE']}",
        ]
    return [word for export in exports for word in ("-x", export)]


if __name__ == "__main__":
    main()

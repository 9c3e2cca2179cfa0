"""Starting real jobs in the tests of the launch path."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from smddp.identity import RANK_VARIABLES
from smddp.launch.spec import Dialect

TIMEOUT_S = 50
_BESIDE_PYTHON = Path(sys.executable).parent
_FOREIGN_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "SLURM_", "MASTER_", "SMDDP_", "SMDATAPARALLEL_")

#: What the ranks report of their environment.
_REPORTED = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("SMDATAPARALLEL_WORLD_RANK", "SMDATAPARALLEL_WORLD_SIZE", "SMDATAPARALLEL_LOCAL_RANK"),
    *("SMDDP_JOB_SECRET", "SMDDP_ALONE", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"),
    *("SET", "FORWARDED", "EMPTY", "TWO", "HARD", "NOT_THERE", "NCCL_DEBUG", "SAGEMAKER_INSTANCE_TYPE"),
)

#: One short line per rank, in one write: mpirun mixes longer ones.
REPORT = (
    "import json, os; "
    f"seen = {{name: os.environ[name] for name in {_REPORTED} if name in os.environ}}; "
    "os.write(1, (json.dumps(seen) + chr(10)).encode())"
)


@dataclasses.dataclass(frozen=True)
class Launcher:
    """One mpirun of this machine, and ways to start smddprun with it and under it."""

    mpirun: str
    dialect: Dialect
    smddprun: tuple[str, ...]
    env: Mapping[str, str]

    def outside(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run smddprun as the launcher."""
        return self.run([*self.smddprun, "--mpirun", self.mpirun, *words], env)

    def inside(self, count: int, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run plain mpirun with these words as the program."""
        options = ["--oversubscribe"] if self.dialect is not Dialect.HYDRA else []
        if os.geteuid() == 0 and self.dialect is not Dialect.HYDRA:
            options.append("--allow-run-as-root")
        return self.run([self.mpirun, *options, "-np", str(count), *words], env)

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            check=False,
        )


def ranks_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    """Return the environments that the ranks reported, by rank."""
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(lines, key=lambda env: int(env["RANK"]))


def another_host(launcher: Launcher, folder: Path) -> tuple[Path, str]:
    """Simulate any other host by a remote shell that stays here but passes no environment on.

    Returns:
        Where it logs its commands, and the options with which mpirun takes it.
    """
    if launcher.dialect is Dialect.OPEN_MPI_4 and shutil.which("orted", path="/usr/bin:/bin") is None:
        pytest.skip("Open MPI 4 starts its daemon from the PATH of the remote shell, and there is none")
    agent, log = folder / "agent", folder / "log"
    agent.write_text(
        # a clean environment, as sshd gives; leading options and the host name are dropped
        f'#!/bin/bash\nwhile [[ $1 == -* ]]; do shift; done; shift\necho "$*" >> {log}\n'
        'exec env -i PATH=/usr/bin:/bin HOME="$HOME" bash -c "$*"\n',
        encoding="utf-8",
    )
    agent.chmod(0o755)
    options = {
        Dialect.OPEN_MPI_4: f"-mca plm_rsh_agent {agent} -mca plm_rsh_no_tree_spawn 1",
        Dialect.OPEN_MPI_5: f"--prtemca plm_ssh_agent {agent}",
        Dialect.HYDRA: f"-launcher ssh -launcher-exec {agent}",
    }
    return log, options[launcher.dialect]


def found(*candidates: Path | str | None) -> str | None:
    return next((str(path) for path in candidates if path is not None and Path(path).exists()), None)


LAUNCHERS = {
    "this-environment": found(_BESIDE_PYTHON / "mpirun"),
    "open-mpi-of-the-system": found(shutil.which("mpirun.openmpi")),
    "mpich": found(_BESIDE_PYTHON / "mpiexec.hydra", shutil.which("mpiexec.hydra")),
}


def clean_environment() -> dict[str, str]:
    """Return this environment without what a launcher around the tests may have left."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in RANK_VARIABLES and not name.startswith(_FOREIGN_PREFIXES)
    }
    # ranks import the same smddp as the tests, installed or not
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def smddprun_command() -> tuple[str, ...]:
    script = _BESIDE_PYTHON / "smddprun"
    return (str(script),) if script.exists() else (sys.executable, "-m", "smddp.launch")

"""A Slurm cluster of simulated hosts: the first controls it, and all run jobs.

State, key and sockets lie in a temporary folder. Process tracking, accounting and task placement need no control
groups, so that this works where those are not to be had.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from support.jobs import Job, run_job
from support.netlab.lab import SECONDS, Lab, netlab
from support.netlab.spec import LabSpec

__all__ = ["Slurm", "slurm", "why_no_slurm"]

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sinfo", "scontrol")
INSTALL = "apt-get install slurm-wlm munge"
CPUS = 4
MUNGE_PLACES = ("socket", "key-file", "log-file", "pid-file", "seed-file")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={first}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName={names} CPUs={cpus}
PartitionName=all Nodes=ALL Default=YES
"""


def why_no_slurm() -> str | None:
    """Why there can be no cluster here, or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    return f"not installed: {', '.join(missing)} ({INSTALL})" if missing else None


class Slurm:
    """The cluster; `env` is what its programs need in the environment."""

    def __init__(self, hosts: Lab, env: Mapping[str, str]) -> None:
        self.nodes = hosts.spec.names
        self._hosts = hosts
        self._env = env

    def srun(self, *words: str, timeout: float) -> Job:
        """Run `srun` on the first host with these words."""
        return run_job(self._hosts.enter(0, "srun", "--quiet", *words), timeout=timeout, env=self._env)

    def ask(self, *words: str) -> str:
        """What a command on the first host prints; '' if it fails."""
        argv = self._hosts.enter(0, *words)
        return subprocess.run(argv, env=self._env, capture_output=True, text=True, timeout=SECONDS).stdout


@contextlib.contextmanager
def slurm(spec: LabSpec) -> Iterator[Slurm]:
    """Make hosts and start the cluster's daemons in them, which end with the hosts, and those before their files."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, netlab(spec) as hosts:
        folder = Path(name)
        env = _write_files(folder, spec.names)
        _start_munge(hosts, env, folder)
        _start_daemon(hosts, 0, ["slurmctld", "-D"], env, folder / "slurmctld.log")
        for host, node in enumerate(spec.names):
            _start_daemon(hosts, host, ["slurmd", "-D", "-N", node], env, folder / f"{node}.log")
        cluster = Slurm(hosts, env)
        _wait_until_idle(cluster, folder)
        yield cluster


def _write_files(folder: Path, nodes: Sequence[str]) -> dict[str, str]:
    """Make what the daemons want to find; returns the environment that leads there."""
    folder.chmod(0o711)  # munge wants its socket where everybody can reach it
    for name in ("state", *nodes):
        (folder / name).mkdir()
    text = CONFIGURATION.format(folder=folder, first=nodes[0], names=",".join(nodes), cpus=CPUS)
    (folder / "slurm.conf").write_text(text, encoding="ascii")
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    return {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}


def _start_munge(hosts: Lab, env: Mapping[str, str], folder: Path) -> None:
    """Start the daemon that vouches for users, and come back when it listens."""
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    places = [f"--{kind}={folder}/munge.{kind.removesuffix('-file')}" for kind in MUNGE_PLACES]
    # One for all hosts: they see the same files, so its socket is everywhere.
    subprocess.run(hosts.enter(0, "munged", *places), env=env, check=True, capture_output=True, timeout=SECONDS)


def _start_daemon(hosts: Lab, host: int, argv: list[str], env: Mapping[str, str], log: Path) -> None:
    with log.open("wb") as file:
        hosts.run_rank(host, argv, env, file.fileno(), file.fileno())


def _wait_until_idle(cluster: Slurm, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while cluster.ask("sinfo", "--noheader", "--format=%T %D").split() != ["idle", str(len(cluster.nodes))]:
        logs = "\n".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
        assert time.monotonic() < deadline, f"the cluster did not start:\n{logs}"

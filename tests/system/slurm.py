"""A Slurm cluster of the two simulated hosts: nodea controls it, and both run jobs.

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
from collections.abc import Iterator, Mapping
from pathlib import Path

from system.two_hosts import NAMES, SECONDS, TwoHosts

from support.jobs import Job, run_job

__all__ = ["Slurm", "slurm", "why_no_slurm"]

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sinfo", "scontrol")
INSTALL = "apt-get install slurm-wlm munge"
CPUS = 4

CONFIGURATION = f"""
ClusterName=test
SlurmctldHost={NAMES[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={{folder}}/munge.socket
CredType=cred/munge
StateSaveLocation={{folder}}/state
SlurmdSpoolDir={{folder}}/%n
SlurmctldPidFile={{folder}}/slurmctld.pid
SlurmdPidFile={{folder}}/%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName={",".join(NAMES)} CPUs={CPUS}
PartitionName=all Nodes=ALL Default=YES
"""


def why_no_slurm() -> str | None:
    """Why there can be no cluster here, or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    return f"not installed: {', '.join(missing)} ({INSTALL})" if missing else None


class Slurm:
    """The cluster; `env` is what its programs need in the environment."""

    def __init__(self, hosts: TwoHosts, env: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._env = env

    def srun(self, *words: str, timeout: float) -> Job:
        """Run `srun` on nodea with these words."""
        return run_job(self._hosts.enter(0, "srun", "--quiet", *words), timeout=timeout, env=self._env)

    def ask(self, *words: str) -> str:
        """What a command on nodea prints; '' if it fails."""
        argv = self._hosts.enter(0, *words)
        return subprocess.run(argv, env=self._env, capture_output=True, text=True, timeout=SECONDS).stdout


@contextlib.contextmanager
def slurm(hosts: TwoHosts) -> Iterator[Slurm]:
    """Start the cluster's daemons in the hosts, which end with them."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # munge wants its socket where everybody can reach it
        (folder / "state").mkdir()
        for node in NAMES:
            (folder / node).mkdir()
        (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder), encoding="ascii")
        env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        env["PATH"] = os.pathsep.join([env.get("PATH", ""), "/usr/sbin"])
        munge = _start_munge(folder, env)
        try:
            _start_daemon(hosts, 0, ["slurmctld", "-D"], env, folder / "slurmctld.log")
            for host, node in enumerate(NAMES):
                _start_daemon(hosts, host, ["slurmd", "-D", "-N", node], env, folder / f"{node}.log")
            cluster = Slurm(hosts, env)
            _wait_until_idle(cluster, folder)
            yield cluster
        finally:
            subprocess.run([*munge, "--stop"], env=env, capture_output=True, timeout=SECONDS)


def _start_munge(folder: Path, env: Mapping[str, str]) -> list[str]:
    """Start the daemon that vouches for users, and come back when it listens; returns the command without a verb."""
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    munge = ["munged", f"--socket={folder}/munge.socket"]
    places = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "log", "pid", "seed")]
    subprocess.run([*munge, *places], env=env, check=True, capture_output=True, timeout=SECONDS)
    return munge


def _start_daemon(hosts: TwoHosts, host: int, argv: list[str], env: Mapping[str, str], log: Path) -> None:
    with log.open("wb") as file:
        hosts.run_rank(host, argv, env, file.fileno(), file.fileno())


def _wait_until_idle(cluster: Slurm, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while cluster.ask("sinfo", "--noheader", "--format=%T %D").split() != ["idle", str(len(NAMES))]:
        logs = "\n".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
        assert time.monotonic() < deadline, f"the cluster did not start:\n{logs}"

"""Scripts started by srun alone, in a Slurm cluster of two simulated hosts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.conftest import TWO_HOSTS
from system.slurm import Slurm, slurm, why_no_slurm

from support.jobs import BIN, REPOSITORY, Job

pytestmark = pytest.mark.timeout(120)
SECONDS = 60.0
NAMES = TWO_HOSTS.names
SCRIPT = (sys.executable, str(REPOSITORY / "tests" / "system" / "srun_script.py"))

#: What `torch.distributed` asks the environment for is there after the import.
TORCH = """
import os, torch, torch.distributed as dist, smddp.torch
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
dist.init_process_group("smddp")
total = torch.tensor(dist.get_rank() + 1.0)
dist.all_reduce(total)
os.write(1, f"{' '.join(os.environ[name] for name in names)} {total.item()}\\n".encode())
dist.destroy_process_group()
"""

#: By rank: node and local rank.
ONE_NODE = [(NAMES[0], rank) for rank in range(4)]
BLOCKS = [(NAMES[0], 0), (NAMES[0], 1), (NAMES[1], 0), (NAMES[1], 1)]
ROUND_ROBIN = [(NAMES[0], 0), (NAMES[1], 0), (NAMES[0], 1), (NAMES[1], 1)]
UNEVEN = [(NAMES[0], 0), (NAMES[0], 1), (NAMES[0], 2), (NAMES[1], 0)]


@pytest.fixture(scope="module")
def cluster(hosts_possible: None) -> Iterator[Slurm]:
    """The tests of this file share it; each of their jobs has a number, and a port, of its own."""
    if reason := why_no_slurm():
        pytest.skip(reason)
    with slurm(TWO_HOSTS) as cluster:
        yield cluster


def check(job: Job, places: list[tuple[str, int]]) -> None:
    """Every rank has summed, and knows its place."""
    hosts = [host for host, _ in places]
    transport = "shm" if len(set(hosts)) == 1 else "shm+tcp"
    expected = [
        f"{rank} 4 {local_rank} {hosts.count(host)} {host} {transport}"
        for rank, (host, local_rank) in enumerate(places)
    ]
    assert sorted(job.check().stdout.splitlines()) == expected
    assert job.stderr == ""


@pytest.mark.parametrize("mpi", ["none", "pmi2"])
def test_one_node(cluster: Slurm, mpi: str) -> None:
    # Else it is the other one, while the job before has not been cleared away.
    words = (f"--nodelist={NAMES[0]}", f"--mpi={mpi}", "--nodes=1", "--ntasks=4", *SCRIPT)
    check(cluster.srun(*words, timeout=SECONDS), ONE_NODE)


@pytest.mark.parametrize("front", [(), (str(BIN / "smddprun"),)], ids=["alone", "smddprun in each rank"])
def test_two_nodes(cluster: Slurm, front: tuple[str, ...]) -> None:
    words = ("--nodes=2", "--ntasks-per-node=2", *front, *SCRIPT)
    check(cluster.srun(*words, timeout=SECONDS), BLOCKS)


def test_two_nodes_round_robin(cluster: Slurm) -> None:
    words = ("--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--distribution=cyclic", *SCRIPT)
    check(cluster.srun(*words, timeout=SECONDS), ROUND_ROBIN)


def test_uneven_nodes(cluster: Slurm) -> None:
    check(cluster.srun("--nodes=2", "--ntasks=4", "--distribution=block", *SCRIPT, timeout=SECONDS), UNEVEN)


def test_torch(cluster: Slurm) -> None:
    job = cluster.srun("--nodes=2", "--ntasks-per-node=2", sys.executable, "-c", TORCH, timeout=SECONDS)
    expected = [f"{rank} 4 {local} 2 {NAMES[0]} 10.0" for rank, (_, local) in enumerate(BLOCKS)]
    assert sorted(job.check().stdout.splitlines()) == expected


def test_torchrun_on_each_node(cluster: Slurm, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TORCH, encoding="ascii")
    command = (
        f"{BIN}/torchrun --nnodes 2 --nproc-per-node 2 --node-rank $SLURM_NODEID --master-port 29500 "
        f'--master-addr $(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1) {script}'
    )
    job = cluster.srun("--nodes=2", "--ntasks-per-node=1", "bash", "-c", command, timeout=SECONDS)
    expected = [f"{rank} 4 {local} 2 {NAMES[0]} 10.0" for rank, (_, local) in enumerate(BLOCKS)]
    assert sorted(job.check().stdout.splitlines()) == expected


@pytest.mark.parametrize("victim", [1, 3])
def test_killed_rank_is_named(cluster: Slurm, victim: int) -> None:
    words = ("--nodes=2", "--ntasks-per-node=2", *SCRIPT, str(victim))
    job = cluster.srun(*words, timeout=SECONDS)
    # srun ends as the worst of its tasks: 1 of those that raised, 137 of the one that was killed.
    assert job.returncode == 137, job
    raised = re.findall(r"^SMDDPPeerLostError: rank (\d) \(\w+\): .*", job.stderr, re.MULTILINE)
    assert sorted(raised) == [str(rank) for rank in range(4) if rank != victim], job.stderr
    dead = rf"rank {victim} \({BLOCKS[victim][0]}, pid \d+\) died"
    assert len(re.findall(dead, job.stderr)) == 3, job.stderr

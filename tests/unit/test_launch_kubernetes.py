"""The example of an MPIJob: its fields are the operator's, and what it runs is what smddprun takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from smddp.launch.compose import compose_launch
from smddp.launch.mpirun import mpirun_argv
from smddp.launch.options import parse_options
from smddp.launch.spec import Dialect, Machine, Options

from support.jobs import REPOSITORY

FOLDER = REPOSITORY / "examples" / "kubernetes"
HOSTFILE = "/etc/mpi/hostfile"

#: Of kubeflow.org/v2beta1, with what is below them.
JOB_FIELDS = {"slotsPerWorker", "runPolicy", "mpiReplicaSpecs", "sshAuthMountPath", "mpiImplementation"}
RUN_POLICY_FIELDS = {"cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit", "suspend"}
REPLICA_FIELDS = {"replicas", "restartPolicy", "template"}
#: How the operator writes a worker with its slots, for each MPI.
LINES = {
    Dialect.OPEN_MPI_4: "{host} slots={slots}",
    Dialect.OPEN_MPI_5: "{host} slots={slots}",
    Dialect.HYDRA: "{host}:{slots}",
}


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "mpijob.yaml").read_text(encoding="utf-8"))


def replica(job: dict[str, Any], kind: str) -> dict[str, Any]:
    return job["spec"]["mpiReplicaSpecs"][kind]


def container(job: dict[str, Any], kind: str) -> dict[str, Any]:
    (only,) = replica(job, kind)["template"]["spec"]["containers"]
    return only


def worker_names(job: dict[str, Any]) -> list[str]:
    """As the operator gives them; the job's own service resolves them."""
    name = job["metadata"]["name"]
    return [f"{name}-worker-{index}.{name}.default.svc" for index in range(replica(job, "Worker")["replicas"])]


def options(job: dict[str, Any], hostfile: Path) -> Options:
    """What smddprun makes of the launcher's words, with this file in the place of the operator's."""
    launcher = container(job, "Launcher")
    program, *words = [*launcher["command"], *launcher["args"]]
    assert program == "smddprun"
    return parse_options([str(hostfile) if word == HOSTFILE else word for word in words])


def test_fields(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    spec = job["spec"]
    assert set(spec) <= JOB_FIELDS
    assert set(spec["runPolicy"]) <= RUN_POLICY_FIELDS
    assert spec["runPolicy"]["cleanPodPolicy"] in ("All", "Running", "None")
    assert spec["mpiImplementation"] in ("OpenMPI", "Intel", "MPICH")
    assert set(spec["mpiReplicaSpecs"]) == {"Launcher", "Worker"}
    for kind in ("Launcher", "Worker"):
        assert set(replica(job, kind)) <= REPLICA_FIELDS
        assert replica(job, kind)["restartPolicy"] in ("Never", "OnFailure", "Always", "ExitCode")


def test_counts(job: dict[str, Any]) -> None:
    assert (replica(job, "Launcher")["replicas"], replica(job, "Worker")["replicas"]) == (1, 2)
    assert job["spec"]["slotsPerWorker"] == 4
    assert int(container(job, "Worker")["resources"]["limits"]["cpu"]) >= job["spec"]["slotsPerWorker"]


def test_all_pods_have_one_image_and_text_for_environment(job: dict[str, Any]) -> None:
    assert len({container(job, kind)["image"] for kind in ("Launcher", "Worker")}) == 1
    # Kubernetes takes nothing but text there, and YAML makes numbers and truth values of some.
    environment = container(job, "Launcher")["env"]
    assert {entry["name"] for entry in environment} == {"SMDDP_DEBUG"}
    for words in ([entry["value"] for entry in environment], container(job, "Launcher")["args"]):
        assert all(isinstance(word, str) for word in words)


def test_workers_listen_and_have_shared_memory(job: dict[str, Any]) -> None:
    worker = container(job, "Worker")
    assert (worker["command"], worker["args"]) == (["/usr/sbin/sshd"], ["-De"])
    volumes = {volume["name"]: volume for volume in replica(job, "Worker")["template"]["spec"]["volumes"]}
    (mount,) = worker["volumeMounts"]
    assert mount["mountPath"] == "/dev/shm"
    assert volumes[mount["name"]]["emptyDir"]["medium"] == "Memory"


@pytest.mark.parametrize("dialect", list(Dialect))
def test_command(job: dict[str, Any], dialect: Dialect, tmp_path: Path) -> None:
    hosts, slots = worker_names(job), job["spec"]["slotsPerWorker"]
    hostfile = tmp_path / "hostfile"
    hostfile.write_text("".join(LINES[dialect].format(host=host, slots=slots) + "\n" for host in hosts))
    found = options(job, hostfile)
    assert found.program == ("python", "train.py")
    environment = {"PATH": "/usr/bin", "K_MPI_JOB_ROLE": "launcher"}
    environment |= {entry["name"]: entry["value"] for entry in container(job, "Launcher")["env"]}
    machine = Machine(
        mpirun="/usr/bin/mpirun",
        dialect=dialect,
        core_count=1,
        is_root=True,
        host_name="smddp-train-launcher",
        rank_command=("smddprun", "--rank"),
        free_port=lambda: 20000,
        any_port=lambda: 30000,
        is_own_address=lambda _: False,
    )
    launch = compose_launch(found, environment, machine)
    assert launch.spec.process_count == slots * len(hosts)
    assert [(host.name, host.slots) for host in launch.spec.hosts] == [(host, slots) for host in hosts]
    assert dict(launch.set_variables)["MASTER_ADDR"] == hosts[0]
    assert "SMDDP_DEBUG" in launch.spec.forwarded
    argv = mpirun_argv(launch.spec)
    assert ",".join(f"{host}:{slots}" for host in hosts) in argv
    assert argv[-2:] == ["python", "train.py"]


def test_readme_says_what_the_image_of_the_other_example_has() -> None:
    dockerfile = (REPOSITORY / "examples" / "sagemaker" / "Dockerfile.own").read_text(encoding="utf-8")
    for needed in (
        "ssh-keygen -A",
        "/run/sshd",
        "StrictHostKeyChecking no",
        "/etc/ssh/ssh_config.d",
        "WORKDIR /opt/ml/code",
    ):
        assert needed in dockerfile

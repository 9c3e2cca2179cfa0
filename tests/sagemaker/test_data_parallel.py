"""distribution={"smdistributed": {"dataparallel": {"enabled": True}}}, under the toolkit for PyTorch."""

from __future__ import annotations

import shutil

import pytest

from support.jobs import run_job
from support.sagemaker.contents import SCRIPTS, VENV
from support.sagemaker.job import TrainingJob, after, data_parallel
from support.sagemaker.runner import Finished


@after(TrainingJob(script="sum_ranks.py", hyperparameters=data_parallel("-verbose -x NCCL_DEBUG=VERSION")))
def test_one_host_with_options_for_mpi(finished: Finished) -> None:
    assert finished.exit_codes == [0], finished
    assert finished.success, finished
    reports = finished.reports()
    assert sorted(reports) == [0, 1], finished
    for rank, report in reports.items():
        assert report["right"]
        assert (report["transport"], report["folder"]) == ("shm", "/opt/ml/code")
        expected = {
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "algo-1",
            "MASTER_PORT": "7777",
            "SMDATAPARALLEL_WORLD_RANK": str(rank),
            "SMDATAPARALLEL_WORLD_SIZE": "2",
            "SMDATAPARALLEL_LOCAL_RANK": str(rank),
            "NCCL_DEBUG": "VERSION",
            "FI_PROVIDER": "efa",
            "FI_EFA_USE_DEVICE_RDMA": "1",
            "SM_CURRENT_HOST": "algo-1",
        }
        # smddprun has filled it all in before the script began.
        assert report["given"] == expected
    versions = [line for line in finished.outputs[0].splitlines() if "smddp 0." in line]
    assert len(versions) == 1, finished
    assert versions[0].startswith("[1,mpirank:0,algo-1]<stdout>:"), versions


@pytest.fixture(scope="module")
def one_host_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that four ranks of one host reach, started by smddprun alone."""
    folder = tmp_path_factory.mktemp("one_host")
    command = [VENV / "bin" / "smddprun", "-np", "4", "--mpirun", shutil.which("mpirun.openmpi")]
    env = {"SM_OUTPUT_DATA_DIR": str(folder), "TMPDIR": str(folder)}
    words = [*command, VENV / "bin" / "python", SCRIPTS / "train_digits.py"]
    return run_job(words, timeout=200, env=env, cwd=folder).check().last_line


@after(TrainingJob(script="train_digits.py", hyperparameters={**data_parallel(), "lr": 0.1}, hosts=2))
def test_two_hosts_train_as_one_does(finished: Finished, one_host_weights: str) -> None:
    assert finished.exit_codes == [0, 0], finished
    reports = [finished.reports(host) for host in (0, 1)]
    assert [sorted(ranks) for ranks in reports] == [[0, 1], [2, 3]], finished
    for host, ranks in enumerate(reports):
        name = f"algo-{host + 1}"
        for rank, report in ranks.items():
            assert (report["host"], report["named"], report["filled"]["SM_CURRENT_HOST"]) == (name, name, name)
            assert (report["filled"]["RANK"], report["filled"]["LOCAL_RANK"]) == (str(rank), str(rank % 2))
            assert report["filled"]["LOCAL_WORLD_SIZE"] == "2"
            assert report["transport"] == "shm+tcp"
    assert len({report["weights"] for ranks in reports for report in ranks.values()}) == 1
    trained = reports[0][0]
    assert one_host_weights == f"weights {trained['weights']}, accuracy {trained['accuracy']:.4f}"
    assert trained["accuracy"] > 0.9


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={
            **data_parallel(instance_type="ml.c5.2xlarge"),
            "sagemaker_mpi_num_of_processes_per_host": 3,
        },
        gpus=0,
        instance_type="ml.c5.2xlarge",
    )
)
def test_host_without_gpus(finished: Finished) -> None:
    assert finished.exit_codes == [0], finished
    reports = finished.reports()
    assert sorted(reports) == [0, 1, 2], finished
    for rank, report in reports.items():
        assert report["right"]
        given = report["given"]
        assert (given["RANK"], given["WORLD_SIZE"], given["LOCAL_WORLD_SIZE"]) == (str(rank), "3", "3")
        # The toolkit asks for this network everywhere; here is none.
        assert given["FI_PROVIDER"] == "efa"


@after(TrainingJob(script="sum_ranks.py", hyperparameters={"sagemaker_distributed_dataparallel_enabled": True}))
def test_hyperparameter_of_the_first_sdk(finished: Finished) -> None:
    assert finished.exit_codes == [0], finished
    assert [report["right"] for report in finished.reports().values()] == [True, True], finished


@after(TrainingJob(script="sum_ranks.py", hyperparameters=data_parallel(), hosts=2, without=("smddprun",)))
def test_without_smddprun(finished: Finished) -> None:
    assert finished.exit_codes == [0, 0], finished
    assert "smddprun not being used" in finished.outputs[0]
    reports = finished.reports(0) | finished.reports(1)
    assert sorted(reports) == [0, 1, 2, 3], finished
    for rank, report in reports.items():
        assert report["right"]
        assert "RANK" not in report["given"]
        filled = report["filled"]
        assert (filled["RANK"], filled["WORLD_SIZE"], filled["LOCAL_RANK"]) == (str(rank), "4", str(rank % 2))

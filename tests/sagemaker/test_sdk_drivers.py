"""SageMaker's SDK 3, whose jobs bring their launcher along: its drivers, unmodified, and ours beside them."""

from __future__ import annotations

from support.jobs import REPOSITORY
from support.sagemaker.job import EFA_INSTANCE, SdkDriver, TrainingJob, after
from support.sagemaker.runner import Finished


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={},
        hosts=2,
        driver=SdkDriver(script="torchrun_driver.py", config={"process_count_per_node": None, "smp": None}),
    )
)
def test_torchrun_driver(finished: Finished) -> None:
    assert finished.exit_codes == [0, 0], finished
    reports = [finished.reports(host) for host in (0, 1)]
    assert [sorted(ranks) for ranks in reports] == [[0, 1], [2, 3]], finished
    assert all(report["right"] and not report["wrapped"] for ranks in reports for report in ranks.values())


#: That driver of SDK 3.27 starts as many ranks in total as it should on each host, and puts variables after these
#: options, where smddprun finds them.
WORK_AROUND = ["-np", "4", "smddprun"]


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={},
        hosts=2,
        driver=SdkDriver(
            script="mpi_driver.py", config={"process_count_per_node": None, "mpi_additional_options": WORK_AROUND}
        ),
    )
)
def test_mpi_driver(finished: Finished) -> None:
    assert finished.exit_codes == [0, 0], finished
    reports = [finished.reports(host) for host in (0, 1)]
    assert [sorted(ranks) for ranks in reports] == [[0, 1], [2, 3]], finished
    for host, ranks in enumerate(reports):
        for report in ranks.values():
            assert report["right"]
            assert report["wrapped"]
            given = report["given"]
            assert (given["FI_PROVIDER"], given["FI_EFA_USE_DEVICE_RDMA"]) == ("efa", "1")
            assert (given["MASTER_ADDR"], given["SM_CURRENT_HOST"]) == ("algo-1", f"algo-{host + 1}")


def data_parallel(options: str, script: str, **hyperparameters: object) -> TrainingJob:
    """What ModelTrainer(distributed=SMDataParallel(...)) sends to two hosts."""
    config = {"process_count_per_node": None, "custom_mpi_options": options}
    folder = REPOSITORY / "smddp" / "sagemaker" / "driver"
    driver = SdkDriver(script="smdataparallel_driver.py", config=config, folder=folder)
    return TrainingJob(script=script, hyperparameters=hyperparameters, hosts=2, driver=driver)


@after(data_parallel("-verbose -x NCCL_DEBUG=VERSION", "sum_ranks.py"))
def test_data_parallel_driver(finished: Finished) -> None:
    assert finished.exit_codes == [0, 0], finished
    assert not finished.failure, finished
    reports = [finished.reports(host) for host in (0, 1)]
    assert [sorted(ranks) for ranks in reports] == [[0, 1], [2, 3]], finished
    for host, ranks in enumerate(reports):
        name = f"algo-{host + 1}"
        for rank, report in ranks.items():
            assert report["right"]
            assert report["wrapped"]
            assert (report["host"], report["transport"]) == (name, "shm+tcp")
            expected = {
                "RANK": str(rank),
                "WORLD_SIZE": "4",
                "LOCAL_RANK": str(rank % 2),
                "LOCAL_WORLD_SIZE": "2",
                "MASTER_ADDR": "algo-1",
                "NCCL_DEBUG": "VERSION",
                "FI_PROVIDER": "efa",
                "SAGEMAKER_INSTANCE_TYPE": EFA_INSTANCE,
                "SM_CURRENT_HOST": name,
            }
            assert {key: report["given"].get(key) for key in expected} == expected
    assert finished.outputs[0].count("smddp 0.") == 1, finished


@after(data_parallel("", "fail_late.py", how="error", culprit=3))
def test_failure_under_the_data_parallel_driver(finished: Finished) -> None:
    # The SDK's helper tells the other host that the job is over, whatever became of it.
    assert finished.exit_codes == [1, 0], finished
    assert "ValueError: the labels of step 50 are out of range" in finished.failure[:900], finished
    assert "ExitCode 1\n" in finished.failure, finished

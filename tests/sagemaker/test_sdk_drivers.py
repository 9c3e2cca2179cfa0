"""SageMaker's SDK 3, whose jobs bring their launcher along: its drivers, unmodified."""

from __future__ import annotations

from support.sagemaker.job import SdkDriver, TrainingJob, after
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

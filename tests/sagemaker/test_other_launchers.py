"""The other ways in which the toolkit starts ranks of a PyTorch job."""

from __future__ import annotations

from support.sagemaker.job import EFA_INSTANCE, TrainingJob, after
from support.sagemaker.runner import Finished


def placed(finished: Finished) -> None:
    """Four ranks, the first two on algo-1, have summed and know their places."""
    assert finished.exit_codes == [0, 0], finished
    reports = [finished.reports(host) for host in (0, 1)]
    assert [sorted(ranks) for ranks in reports] == [[0, 1], [2, 3]], finished
    for host, ranks in enumerate(reports):
        for rank, report in ranks.items():
            assert report["right"]
            assert (report["host"], report["transport"]) == (f"algo-{host + 1}", "shm+tcp")
            filled = report["filled"]
            assert (filled["RANK"], filled["WORLD_SIZE"]) == (str(rank), "4")
            assert (filled["LOCAL_RANK"], filled["LOCAL_WORLD_SIZE"]) == (str(rank % 2), "2")


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={"sagemaker_pytorch_ddp_enabled": True, "sagemaker_instance_type": EFA_INSTANCE},
    )
)
def test_pytorchddp(finished: Finished) -> None:
    assert finished.exit_codes == [0], finished
    reports = finished.reports()
    assert sorted(reports) == [0, 1], finished
    assert all(report["right"] and report["wrapped"] for report in reports.values())


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={"sagemaker_torch_distributed_enabled": True, "sagemaker_instance_type": EFA_INSTANCE},
        hosts=2,
    )
)
def test_torch_distributed(finished: Finished) -> None:
    placed(finished)
    assert not finished.reports()[0]["wrapped"]


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={
            "sagemaker_mpi_enabled": True,
            "sagemaker_mpi_num_of_processes_per_host": 2,
            "sagemaker_mpi_custom_mpi_options": "-x NCCL_DEBUG=WARN",
        },
        hosts=2,
    )
)
def test_mpi(finished: Finished) -> None:
    placed(finished)
    reports = finished.reports(1)
    # The toolkit forwards the master's name to all ranks, so nothing may rest on it.
    assert {report["given"]["SM_CURRENT_HOST"] for report in reports.values()} == {"algo-1"}
    assert {report["given"]["NCCL_DEBUG"] for report in reports.values()} == {"WARN"}


@after(
    TrainingJob(
        script="sum_ranks.py",
        hyperparameters={
            "sagemaker_mpi_enabled": True,
            "sagemaker_mpi_num_of_processes_per_host": 2,
            "mp_parameters": {"ddp_dist_backend": "auto"},
        },
    )
)
def test_mpi_for_model_parallel(finished: Finished) -> None:
    assert finished.exit_codes == [0], finished
    assert f"smddpmprun -i {EFA_INSTANCE} --allow-bypass" in finished.outputs[0]
    reports = finished.reports()
    assert sorted(reports) == [0, 1], finished
    for report in reports.values():
        assert report["right"]
        assert report["wrapped"]
        assert report["given"]["SAGEMAKER_INSTANCE_TYPE"] == EFA_INSTANCE

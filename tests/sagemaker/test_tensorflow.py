"""The toolkit for TensorFlow."""

from __future__ import annotations

from support.sagemaker.job import TENSORFLOW, TrainingJob, after, data_parallel
from support.sagemaker.runner import Finished


@after(TrainingJob(script="tape.py", hyperparameters=data_parallel(), toolkit=TENSORFLOW))
def test_tape(finished: Finished) -> None:
    assert finished.exit_codes == [0], finished
    assert finished.success, finished
    reports = finished.reports()
    assert sorted(reports) == [0, 1], finished
    for rank, report in reports.items():
        assert (report["world"], report["given"]["RANK"], report["given"]["LOCAL_RANK"]) == (2, str(rank), str(rank))
        assert report["fell"]
    assert reports[0]["weights"] == reports[1]["weights"]
    assert reports[0]["loss"] == reports[1]["loss"]

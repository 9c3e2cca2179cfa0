"""A rank fails: what the service shows of /opt/ml/output/failure names the error and its cause."""

from __future__ import annotations

import re

from support.sagemaker.job import TrainingJob, after, data_parallel
from support.sagemaker.runner import Finished

#: The service shows this many characters; the rest is for its own words.
SHOWN = 900


def failing(how: str, culprit: int, hosts: int = 1, gpus: int = 2) -> TrainingJob:
    return TrainingJob(
        script="fail_late.py",
        hyperparameters={**data_parallel(), "how": how, "culprit": culprit},
        hosts=hosts,
        gpus=gpus,
        until_master_ends=True,
    )


def shown(finished: Finished) -> str:
    """What the service shows of a job that failed as it should."""
    assert finished.exit_codes == [1], finished
    assert not finished.success, finished
    return finished.failure[:SHOWN]


@after(failing("error", culprit=3, hosts=2))
def test_error_of_the_script(finished: Finished) -> None:
    # Whichever line reaches the master first: the error, or that of a rank which the failed one has left.
    text = shown(finished)
    assert re.search(r"rank ?3\b", text), finished
    assert "ValueError: the labels of step 50 are out of range" in text, finished


@after(failing("mismatch", culprit=1))
def test_ranks_disagree(finished: Finished) -> None:
    text = shown(finished)
    assert text.startswith("SMDDPMismatchError:\nExitCode 1\n"), finished
    assert "SMDDPMismatchError: rank " in text, finished
    for side in ("1000", "999"):
        assert side in text, finished


@after(failing("leave", culprit=2, hosts=2))
def test_rank_leaves(finished: Finished) -> None:
    text = shown(finished)
    assert text.startswith("SMDDPPeerLostError:\nExitCode 1\n"), finished
    assert "rank 2 (algo-2" in text, finished


@after(failing("kill", culprit=1, gpus=4))
def test_rank_is_killed(finished: Finished) -> None:
    text = shown(finished)
    assert "ExitCode 137" in text, finished
    assert text.startswith("SMDDPPeerLostError:\n"), finished
    assert "rank 1 (algo-1" in text, finished

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netlab.lab import why_no_lab
from support.sagemaker.contents import VENV
from support.sagemaker.job import TrainingJob
from support.sagemaker.runner import Finished, Runner

PROGRAMS = ("which", "mpirun.openmpi", "orted", "ssh", "ssh-keygen")


def why_not() -> str | None:
    """Why training jobs cannot be simulated here, or None."""
    if not (VENV / "bin" / "train").exists():
        return "the training toolkit is not installed: make sagemaker"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if not Path("/usr/sbin/sshd").exists():
        missing.append("sshd")
    if missing:
        return f"not installed: {', '.join(missing)} (Debian packages openmpi-bin, openssh-server)"
    return why_no_lab()


@pytest.fixture(scope="session")
def hosts_possible() -> None:
    """Skip with the reason where hosts cannot be made."""
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def runner(
    hosts_possible: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    """Has started the jobs of all tests that are to run."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    with Runner(tmp_path_factory.mktemp("sagemaker")) as runner:
        runner.start(values["finished"] for values in parameters if "finished" in values)
        yield runner


@pytest.fixture
def finished(request: pytest.FixtureRequest, runner: Runner) -> Finished:
    """The job that the test's parameter asks for, at its end."""
    job: TrainingJob = request.param
    return runner.wait(job)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the training toolkit, and waits for jobs that run together."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.sagemaker)
            item.add_marker(pytest.mark.timeout(600))

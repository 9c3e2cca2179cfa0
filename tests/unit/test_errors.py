"""The exception tree: what it derives from, how it travels, and how it is shown."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import socket
import sys

import pytest

from smddp import errors

from support.jobs import run_job

CLASSES = [getattr(errors, name) for name in errors.__all__]
BUILT_IN = {
    "SMDDPError": RuntimeError,
    "SMDDPArgumentError": ValueError,
    "SMDDPConfigError": ValueError,
    "SMDDPTimeoutError": TimeoutError,
    "SMDDPPeerLostError": ConnectionError,
    "SMDDPSystemError": OSError,
}
MESSAGE = "rank 3 (node7): rank 1 (node6, pid 12) died"


@pytest.mark.parametrize("cls", CLASSES)
def test_one_tree(cls: type[errors.SMDDPError]) -> None:
    assert issubclass(cls, errors.SMDDPError)
    assert issubclass(cls, RuntimeError)
    assert issubclass(cls, BUILT_IN.get(cls.__name__, RuntimeError))
    assert cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_message_survives_copies_and_pickles(cls: type[errors.SMDDPError]) -> None:
    error = cls(MESSAGE)
    for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is cls
        assert str(again) == MESSAGE
        assert again.args == (MESSAGE,)


def _raise(name: str) -> None:
    raise getattr(errors, name)(MESSAGE)


@pytest.mark.timeout(60)
def test_they_cross_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(errors.SMDDPPeerLostError) as caught:
        pool.apply_async(_raise, ["SMDDPPeerLostError"]).get(50)
    assert str(caught.value) == MESSAGE


@pytest.mark.parametrize("cls", CLASSES)
def test_uncaught_the_last_line_begins_with_the_class(cls: type[errors.SMDDPError]) -> None:
    code = f"from smddp import errors\nraise errors.{cls.__name__}({MESSAGE!r})"
    job = run_job([sys.executable, "-c", code], timeout=50)
    assert job.returncode == 1
    assert job.stderr.splitlines()[-1] == f"{cls.__name__}: {MESSAGE}"


def test_every_status_has_its_class() -> None:
    for code, cls in errors.STATUS_CLASSES.items():
        error = errors.error_of_status(code, MESSAGE)
        assert (type(error), str(error)) == (cls, MESSAGE)
    assert type(errors.error_of_status(99, MESSAGE)) is errors.SMDDPError


def test_native_errors_are_these() -> None:
    from smddp import _core

    config = _core.Config()
    config.transport = "pigeon"
    runtime = _core.Runtime.acquire(_core.Config())
    store = _core.open_job_store(_core.JobPlace())
    with pytest.raises(errors.SMDDPConfigError, match=r"rank 0 .*pigeon"):
        runtime.create_communicator(0, 2, "bad", store, config).connect()


@pytest.mark.timeout(120)
def test_through_torch_they_are_both() -> None:
    code = """
import copy, pickle
import torch.distributed as dist
import smddp.torch
from smddp import errors
from smddp.torch.errors import error_of_status
for code, cls in errors.STATUS_CLASSES.items():
    error = error_of_status(code, "rank 3 (node7): why")
    assert isinstance(error, cls) and isinstance(error, dist.DistBackendError), error
    assert type(error).__name__ == cls.__name__ and str(error) == "rank 3 (node7): why"
    assert type(error) is type(error_of_status(code, ""))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error) and again.args == error.args
assert type(error_of_status(99, "")).__name__ == "SMDDPError"
raise error_of_status(7, "rank 3 (node7): why")
"""
    job = run_job([sys.executable, "-c", code], timeout=100)
    assert job.stderr.splitlines()[-1] == "SMDDPPeerLostError: rank 3 (node7): why", job.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("env", "rank"),
    [({"RANK": "2", "WORLD_SIZE": "3"}, 2), ({}, 0), ({"RANK": "five", "WORLD_SIZE": "3"}, 0)],
    ids=["launched", "alone", "unreadable"],
)
def test_found_in_python_they_begin_with_rank_and_host(env: dict[str, str], rank: int) -> None:
    code = f"""
import os
import torch.distributed as dist
from smddp import errors
from smddp.torch.errors import failure
os.environ.update({env})
for name in errors.__all__:
    error = failure(getattr(errors, name), "all_reduce: why")
    assert isinstance(error, getattr(errors, name)) and isinstance(error, dist.DistBackendError)
    assert type(error).__name__ == name
raise error
"""
    job = run_job([sys.executable, "-c", code], timeout=100)
    expected = f"SMDDPTimeoutError: rank {rank} ({socket.gethostname()}): all_reduce: why"
    assert job.stderr.splitlines()[-1] == expected, job.stderr

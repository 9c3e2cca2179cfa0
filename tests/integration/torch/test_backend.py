"""What backend "smddp" takes from the environment, and what it says about itself: fresh processes."""

from __future__ import annotations

import sys
import textwrap

import pytest
import torch

from support.jobs import Job, run_job
from support.world import place_ranks

pytestmark = pytest.mark.timeout(150)  # interpreters that import torch, on a busy machine
SECONDS = 120

HEADER = """
import os
from datetime import timedelta
import torch.distributed as dist
import smddp.torch
import smdistributed.dataparallel.torch.distributed as older
"""

#: Shows the deadline that each group gets.
SPY = """
from smddp.torch import backend
config_of = backend._config
def spied(settings):
    print(settings.timeout)
    return config_of(settings)
backend._config = spied
"""


def start(code: str, **env: str) -> Job:
    argv = [sys.executable, "-W", "ignore::FutureWarning", "-c", HEADER + textwrap.dedent(code)]
    return run_job(argv, timeout=SECONDS, env=env)


def test_deadline() -> None:
    code = """
        for given in (None, timedelta(seconds=7), timedelta(minutes=30)):
            dist.init_process_group("smddp", timeout=given)
            dist.new_group([0], timeout=given)
            dist.destroy_process_group()
            older.init_process_group(timeout=given)
            older.destroy_process_group()
    """
    default, given = ["1800.0"] * 3, ["7.0"] * 3
    assert start(SPY + textwrap.dedent(code)).check().stdout.split() == [*default, *given, *default]
    # torch's own default, asked for or not, arrives the same
    set_ = start(SPY + textwrap.dedent(code), SMDDP_TIMEOUT="11").check().stdout.split()
    assert set_ == [*["11.0"] * 3, *given, *["11.0"] * 3]


@pytest.mark.skipif(torch.accelerator.current_accelerator() is not None, reason="torch is built for an accelerator")
def test_memory_of_buckets_is_offered_unless_the_user_decides() -> None:
    code = """
        dist.init_process_group("smddp")
        print(os.environ["DDP_DISABLE_COMM_MEM"])
        dist.destroy_process_group()
    """
    assert start(code).check().stdout.split() == ["0"]
    assert start(code, DDP_DISABLE_COMM_MEM="1").check().stdout.split() == ["1"]


def test_deadline_of_the_start_with_the_older_module() -> None:
    """A rank that waits for the others to join waits as long as SMDDP_TIMEOUT says."""
    place = place_ranks(2)[0]
    code = """
        try:
            older.init_process_group()
        except dist.DistStoreError as error:
            print("told")
        os._exit(0)
    """
    assert start(code, SMDDP_TIMEOUT="2", **place).check().stdout == "told\n"


def test_version_and_warnings_are_told_once() -> None:
    code = """
        for _ in range(2):
            dist.init_process_group("smddp")
            dist.new_group([0])
            dist.new_group([0])
            dist.destroy_process_group()
    """
    job = start(code, SMDDP_DEBUG="VERSION", SMDDP_XYZZY_QQ="1").check()
    assert job.stdout.count("\n") == 1
    assert job.stdout.startswith("smddp ")
    assert job.stdout.endswith(", 1 ranks\n")
    assert job.stderr == "smddp: WARN unknown environment variable SMDDP_XYZZY_QQ\n"


def test_version_is_told_by_rank_0_of_the_world_alone() -> None:
    # A store inside the process is enough: groups connect with their first collective.
    code = """
        dist.init_process_group("smddp", store=dist.HashStore(), rank=1, world_size=2)
        dist.new_group([1], use_local_synchronization=True)
        os._exit(0)
    """
    assert start(code, SMDDP_DEBUG="VERSION").check().stdout == ""


def test_a_wrong_torch_is_told_how_to_rebuild() -> None:
    code = """
        from smddp import _torch
        from smddp.torch import backend
        class Other:
            built_for_torch = "1.2.3"
        smddp._torch = Other
        try:
            backend._load_native()
        except ImportError as error:
            print(error)
        import sys
        smddp.__dict__.pop("_torch")
        sys.modules["smddp._torch"] = None
        try:
            backend._load_native()
        except ImportError as error:
            print(error)
    """
    lines = start(code).check().stdout.splitlines()
    assert len(lines) == 2
    assert "built for torch 1.2.3" in lines[0]
    advice = "in smddp's source folder: pip install --no-build-isolation --force-reinstall --no-deps ."
    assert all(line.endswith(advice) for line in lines), lines


@pytest.mark.parametrize(
    ("env", "parts"),
    [
        ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "abc"}, ["MASTER_PORT='abc'", "1 to 65535"]),
        ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "70000"}, ["MASTER_PORT='70000'", "1 to 65535"]),
        ({}, ["MASTER_ADDR and MASTER_PORT", "set both", "smddprun"]),
        ({"MASTER_PORT": "20000"}, ["MASTER_ADDR not set", "smddprun"]),
    ],
    ids=["no number", "no port", "no address and no port", "no address"],
)
def test_nowhere_to_meet(env: dict[str, str], parts: list[str]) -> None:
    job = start("older.init_process_group()", RANK="0", WORLD_SIZE="4", **env)
    assert job.returncode == 1
    last_line = job.stderr.splitlines()[-1]
    assert last_line.startswith("SMDDPConfigError: "), job.stderr
    assert all(part in last_line for part in parts), last_line
    assert "During handling of" not in job.stderr


def test_a_forked_child_has_a_rank_of_its_own() -> None:
    code = """
        assert not older.is_available()
        if os.fork() == 0:
            assert not older.is_available()
            older.init_process_group()
            assert older.get_world_size() == 1
            os._exit(0)
        assert os.wait()[1] == 0
        if os.fork() == 0:
            os.environ.update(RANK="3", WORLD_SIZE="4")
            assert older.is_available() and older.get_local_rank() == 3
            os._exit(0)
        assert os.wait()[1] == 0
        assert older.get_local_rank() == 0
    """
    start(code).check()

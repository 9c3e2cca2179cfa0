"""What a process that nobody launched invents for itself, and what its children believe of it."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.alone import RECORD, drop_inherited, format_record, inherited_names
from smddp.config import read_settings
from smddp.identity import read_identity
from smddp.launch.ports import job_port
from smddp.launch.rank_env import fill_local_place_alone, fill_rank_environment

from support.jobs import run_job

pytestmark = pytest.mark.timeout(60)

INVENTED = {
    "RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "20000",
    "SMDATAPARALLEL_WORLD_RANK": "0",
    "SMDATAPARALLEL_WORLD_SIZE": "1",
    "SMDATAPARALLEL_LOCAL_RANK": "0",
}
LOCAL = {name for name in INVENTED if name.startswith(("LOCAL_", "SMDATAPARALLEL_"))}
PARENT, CHILD = 7, 8
ENV = {"PATH": "/bin", **INVENTED, RECORD: format_record(PARENT, INVENTED)}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-node-4151@1",
}


def alone() -> dict[str, str]:
    """The environment that another process leaves to its children: that of one which nobody launched."""
    env: dict[str, str] = {}
    fill_rank_environment(env)
    fill_local_place_alone(env)
    env[RECORD] = env[RECORD].replace(str(os.getpid()), str(os.getppid()), 1)
    return env


@pytest.mark.parametrize("env", [{}, {"RANK": "0", "WORLD_SIZE": "1"}, {RECORD: ""}, {RECORD: "7"}])
def test_without_a_record_everything_is_believed(env: dict[str, str]) -> None:
    assert inherited_names(env, CHILD) == ()


def test_the_owner_keeps_what_it_invented() -> None:
    assert inherited_names(ENV, PARENT) == ()


@pytest.mark.parametrize("pid", [CHILD, None])
def test_a_child_drops_all(pid: int | None) -> None:
    assert set(inherited_names(ENV, pid)) == {*INVENTED, RECORD}


def test_what_the_child_was_given_since_stays() -> None:
    names = inherited_names({**ENV, "MASTER_ADDR": "node1", "LOCAL_RANK": "3"}, CHILD)
    assert set(names) == {*INVENTED, RECORD} - {"MASTER_ADDR", "LOCAL_RANK"}


@pytest.mark.parametrize("pid", [PARENT, CHILD], ids=["owner", "child"])
@pytest.mark.parametrize("given", [{"RANK": "3", "WORLD_SIZE": "4"}, {"WORLD_SIZE": "4"}, {"RANK": "3"}], ids=str)
def test_a_process_with_a_rank_of_its_own_keeps_where_the_ranks_meet(given: dict[str, str], pid: int) -> None:
    assert set(inherited_names({**ENV, **given}, pid)) == {*LOCAL, RECORD}


def test_what_torchrun_says_is_kept_even_where_it_says_the_same() -> None:
    given = {"RANK": "8", "WORLD_SIZE": "16", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "a"}
    names = set(inherited_names({**ENV, **given}, CHILD))
    assert names == {name for name in LOCAL if name.startswith("SMDATAPARALLEL_")} | {RECORD}


def test_a_child_that_is_told_its_local_rank_and_no_rank_is_not_rank_0() -> None:
    """So start Lightning's ranks, which pass the rank as an argument."""
    env = {**alone(), "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    port = env["MASTER_PORT"]
    fill_rank_environment(env)
    assert env == {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def test_a_rank_that_was_removed_is_no_rank() -> None:
    without = {name: value for name, value in ENV.items() if name not in ("RANK", "WORLD_SIZE")}
    assert set(inherited_names(without, CHILD)) == {*INVENTED, RECORD} - {"RANK", "WORLD_SIZE"}


@given(st.text(), st.dictionaries(st.sampled_from([*INVENTED, "PATH"]), st.text(max_size=3)))
def test_any_record_is_survived(record: str, env: dict[str, str]) -> None:
    whole = {**env, RECORD: record}
    drop_inherited(whole, CHILD)
    assert whole.items() <= {**env, RECORD: record}.items()


def test_filling_records_what_it_invented() -> None:
    env = {"MASTER_ADDR": "127.0.0.1", "RANK": ""}
    fill_rank_environment(env)
    added = {name: value for name, value in env.items() if name not in ("MASTER_ADDR", RECORD)}
    assert env[RECORD] == format_record(os.getpid(), added)
    assert added["MASTER_PORT"] == str(job_port(f"alone-{os.getpid()}"))
    once = dict(env)
    fill_rank_environment(env)
    assert env == once


@pytest.mark.parametrize("launched", [OPEN_MPI, {"RANK": "1", "WORLD_SIZE": "2"}, {"LOCAL_RANK": "3"}], ids=str)
def test_what_a_launcher_said_is_not_recorded(launched: dict[str, str]) -> None:
    env = dict(launched)
    fill_rank_environment(env)
    assert RECORD not in env


def test_a_child_under_mpirun_is_a_rank_of_that_job() -> None:
    env = {**alone(), **OPEN_MPI}
    identity = read_identity(env)
    assert (identity.rank, identity.size, identity.source) == (2, 4, "openmpi")
    fill_rank_environment(env)
    assert (env["RANK"], env["WORLD_SIZE"], env["LOCAL_RANK"]) == ("2", "4", "2")
    assert env["SMDATAPARALLEL_WORLD_RANK"] == "2"
    assert env["MASTER_PORT"] == str(job_port(OPEN_MPI["PMIX_NAMESPACE"]))
    assert RECORD not in env


def test_a_child_alone_has_a_port_of_its_own() -> None:
    env = {**alone(), "MASTER_PORT": "20000"}
    env[RECORD] = format_record(os.getppid(), {**INVENTED})
    fill_rank_environment(env)
    assert env["MASTER_PORT"] == str(job_port(f"alone-{os.getpid()}"))


@pytest.mark.parametrize("owner", ["parent", "itself"])
def test_a_child_that_sets_only_its_rank_gets_its_own_local_rank(owner: str) -> None:
    env = alone()
    if owner == "itself":
        env[RECORD] = env[RECORD].replace(str(os.getppid()), str(os.getpid()), 1)
    env |= {"RANK": "3", "WORLD_SIZE": "4"}
    identity = read_identity(env)
    assert (identity.rank, identity.local_rank, identity.local_size) == (3, 3, 4)
    port = env["MASTER_PORT"]
    fill_rank_environment(env)
    assert (env["RANK"], env["LOCAL_RANK"], env["SMDATAPARALLEL_WORLD_RANK"]) == ("3", "3", "3")
    assert env["MASTER_PORT"] == port


def test_reading_changes_nothing() -> None:
    env = {**ENV, **OPEN_MPI}
    read_identity(env)
    assert env == {**ENV, **OPEN_MPI}


def test_the_record_is_a_known_name(capsys: pytest.CaptureFixture[str]) -> None:
    read_settings({RECORD: ENV[RECORD]})
    assert capsys.readouterr().err == ""


def test_children_of_a_process_that_imported_the_adapter() -> None:
    child = "import os, sys; from smddp.identity import read_identity as r; print(r(os.environ).source)"
    code = f"""
import os, subprocess, sys
import smddp.torch
assert os.environ["RANK"] == "0" and os.environ["WORLD_SIZE"] == "1"
def child(**env):
    subprocess.run([sys.executable, "-c", {child!r}], env=os.environ | env, check=True)
child()
child(OMPI_COMM_WORLD_RANK="1", OMPI_COMM_WORLD_SIZE="2")
child(RANK="1", WORLD_SIZE="2")
"""
    job = run_job([sys.executable, "-c", code], timeout=50).check()
    assert job.stdout.split() == ["single", "openmpi", "torchrun"]

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.alone import RECORD
from smddp.errors import SMDDPConfigError
from smddp.identity import Identity
from smddp.launch.ports import PAIR_COUNT, job_port, pair_port
from smddp.launch.rank_env import (
    fill_local_place_alone,
    fill_rank_environment,
    first_slurm_host,
    local_size_by_slots,
)

pytestmark = pytest.mark.timeout(30)

ONE_HOST = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-node-4151@1",
}
TWO_HOSTS = {**ONE_HOST, "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "3", "MPI_LOCALNRANKS": "4"}


def filled(env: dict[str, str], launcher: str | None = "hydra_pmi_proxy-500") -> dict[str, str]:
    """Return only what was added."""
    after = dict(env)
    fill_rank_environment(after, launcher_name=lambda: launcher)
    assert all(after[name] == value for name, value in env.items() if value), "a value was changed"
    return {name: value for name, value in after.items() if env.get(name) != value}


def test_one_host() -> None:
    assert filled(ONE_HOST) == {
        "RANK": "1",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "3",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(job_port("prterun-node-4151@1")),
        "SMDATAPARALLEL_WORLD_RANK": "1",
        "SMDATAPARALLEL_WORLD_SIZE": "4",
        "SMDATAPARALLEL_LOCAL_RANK": "3",
    }


def test_filling_twice_changes_nothing() -> None:
    env = dict(ONE_HOST)
    fill_rank_environment(env)
    once = dict(env)
    fill_rank_environment(env)
    assert env == once


def test_values_already_set_stay() -> None:
    own = {
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "master",
        "MASTER_PORT": "1234",
        "SMDATAPARALLEL_LOCAL_RANK": "2",
    }
    added = filled({**ONE_HOST, **own})
    assert not added.keys() & own.keys()
    assert added["RANK"] == "1"


def test_alone() -> None:
    added = filled({})
    assert (added["RANK"], added["WORLD_SIZE"], added["SMDATAPARALLEL_LOCAL_RANK"]) == ("0", "1", "0")
    assert (added["MASTER_ADDR"], added["MASTER_PORT"]) == (
        "127.0.0.1",
        str(job_port(f"alone-{os.getpid()}")),
    )


def test_alone_there_is_no_local_rank_before_the_world_of_one_is_joined() -> None:
    """Libraries know a launcher by LOCAL_RANK; Lightning then starts no ranks itself."""
    env: dict[str, str] = {}
    for _ in range(2):
        fill_rank_environment(env)
        assert not env.keys() & {"LOCAL_RANK", "LOCAL_WORLD_SIZE"}
    for _ in range(2):
        fill_local_place_alone(env)
        assert (env["LOCAL_RANK"], env["LOCAL_WORLD_SIZE"]) == ("0", "1")
        assert env[RECORD].endswith(" LOCAL_RANK=0 LOCAL_WORLD_SIZE=1")


@pytest.mark.parametrize("env", [{}, {"RANK": "0", "WORLD_SIZE": "1"}, {"LOCAL_RANK": "3", RECORD: "7"}], ids=str)
def test_only_what_made_itself_a_world_of_one_fills_in_its_place(env: dict[str, str]) -> None:
    after = dict(env)
    fill_local_place_alone(after)
    assert after.get("LOCAL_RANK") == env.get("LOCAL_RANK")


def test_mpich_has_no_job_name_so_the_launcher_process_gives_one() -> None:
    assert filled(MPICH)["MASTER_PORT"] == str(job_port("hydra_pmi_proxy-500"))
    assert "MASTER_PORT" not in filled(MPICH, launcher=None)


def test_several_hosts_without_an_address_leave_it_unset() -> None:
    added = filled(TWO_HOSTS)
    assert "MASTER_ADDR" not in added
    assert added["MASTER_PORT"] == str(job_port("prterun-node-4151@1"))
    # each host has a launcher process of its own: its number is no common name
    assert "MASTER_PORT" not in filled({**MPICH, "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"})


@pytest.mark.parametrize(
    ("given_by", "address", "port"),
    [
        ({"SMDATAPARALLEL_SERVER_ADDR": "algo-1", "SMDATAPARALLEL_SERVER_PORT": "7592"}, "algo-1", "7594"),
        ({"SM_MASTER_ADDR": "algo-1", "SM_MASTER_PORT": "7777"}, "algo-1", "7777"),
        (
            {"SLURM_JOB_NODELIST": "gpu[07-09],login1"},
            "gpu07",
            str(job_port("prterun-node-4151@1")),
        ),
    ],
)
def test_several_hosts_with_an_address(given_by: dict[str, str], address: str, port: str) -> None:
    added = filled({**TWO_HOSTS, **given_by})
    assert (added["MASTER_ADDR"], added["MASTER_PORT"]) == (address, port)


def test_slurm_step_uses_the_hosts_of_the_step() -> None:
    env = {
        "SLURM_JOB_ID": "1001",
        "SLURM_STEP_ID": "3",
        "SLURM_PROCID": "1",
        "SLURM_NTASKS": "2",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "1",
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_STEP_NODELIST": "b[2-3]",
        "SLURM_JOB_NODELIST": "a1,b[2-3]",
    }
    added = filled(env)
    assert (added["MASTER_ADDR"], added["MASTER_PORT"]) == ("b2", str(job_port("slurm-1001.3")))
    assert (added["RANK"], added["LOCAL_RANK"], added["LOCAL_WORLD_SIZE"]) == ("1", "0", "1")


def test_an_unknown_local_rank_is_not_filled_in() -> None:
    added = filled({"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node0", "MASTER_PORT": "5"})
    assert added == {"SMDATAPARALLEL_WORLD_RANK": "1", "SMDATAPARALLEL_WORLD_SIZE": "4"}


@pytest.mark.parametrize(
    "env",
    [
        {"WORLD_SIZE": "4", "LOCAL_RANK": "2"},  # a launcher that passes the rank as an argument
        {"RANK": "1"},
        {"LOCAL_RANK": "3"},
    ],
)
def test_a_world_that_other_code_is_putting_together_is_left_alone(env: dict[str, str]) -> None:
    assert filled(env) == {}


@pytest.mark.parametrize(
    ("slots", "rank", "local_rank", "count"),
    [
        ("1,3", 0, 0, 1),
        ("1,3", 1, 0, 3),
        ("1,3", 3, 2, 3),
        ("3,3", 3, 0, 1),  # the last host is not full
        ("3,3", 2, 2, 3),
        ("2,2", 1, 0, None),  # mapped in another way
        ("2", 3, 1, None),
        ("2,x", 3, 1, None),
        ("", 0, 0, None),
    ],
)
def test_local_size_by_slots(slots: str, rank: int, local_rank: int, count: int | None) -> None:
    here = Identity(rank=rank, size=4, local_rank=local_rank, local_size=1, source="openmpi")
    assert local_size_by_slots(slots, here) == count


def test_a_local_size_not_to_be_believed_is_not_filled_in() -> None:
    added = filled({**TWO_HOSTS, "PRTE_LAUNCHED": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"})
    assert added["LOCAL_RANK"] == "1"
    assert not added.keys() & {"LOCAL_WORLD_SIZE", "MASTER_ADDR"}


def test_contradiction_is_an_error() -> None:
    with pytest.raises(SMDDPConfigError, match="contradicts"):
        filled({**ONE_HOST, "RANK": "0"})


def test_bad_server_port() -> None:
    with pytest.raises(SMDDPConfigError, match="SMDATAPARALLEL_SERVER_PORT='x'"):
        filled({**ONE_HOST, "SMDATAPARALLEL_SERVER_PORT": "x"})


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node[1-4]", "node1"),
        ("node[03-05,9]-ib,gpu1", "node03-ib"),
        ("rack[2,4]n[7-8]", "rack2n7"),
        ("", None),
        ("  ", None),
    ],
)
def test_first_slurm_host(text: str, host: str | None) -> None:
    assert first_slurm_host(text) == host


@given(st.text("ab1,-[] ", max_size=20))
def test_first_slurm_host_takes_any_text(text: str) -> None:
    host = first_slurm_host(text)
    assert host is None or not set(host) & set(",[")


def test_ports_lie_between_well_known_and_ephemeral_ones() -> None:
    assert (pair_port(0), pair_port(PAIR_COUNT - 1) + 1) == (16384, 29365)


@given(st.integers(1, 4_000_000), st.integers(1, PAIR_COUNT - 1))
def test_jobs_with_near_numbers_never_share_a_port(pid: int, distance: int) -> None:
    for name in ("prterun-host7-{}@1", "slurm-{}.0", "hydra_pmi_proxy-{}", "alone-{}"):
        ports = {job_port(name.format(pid)), job_port(name.format(pid + distance))}
        # a number with one digit more moves the digits before it; the host name's digits then count anew
        if len(str(pid)) == len(str(pid + distance)):
            assert len(ports) == 2


@given(st.text(max_size=400))
def test_any_job_name_gives_a_port_of_the_range(name: str) -> None:
    port = job_port(name)
    assert port == job_port(name)
    assert 16384 <= port <= 29364
    assert port % 2 == 0


def test_import_of_the_rank_path_is_light() -> None:
    heavy = ("torch", "numpy", "argparse", "subprocess", "socket", "shutil")
    code = f"import sys, smddp.launch.mprun, smddp.launch.run; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert out.stdout.strip() == "[]"

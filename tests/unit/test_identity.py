from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.identity import Identity, in_slurm_step, is_loopback, read_identity

pytestmark = pytest.mark.timeout(30)

OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-node-4151@1",
    "PMIX_RANK": "5",
}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "6", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "PMI_FD": "11"}
SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "2",
    "SLURM_PROCID": "4",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),3",
}
TORCHRUN = {
    "RANK": "6",
    "WORLD_SIZE": "9",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "3",
    "TORCHELASTIC_RUN_ID": "run-12",
}


def place(rank: int, size: int, local_rank: int, local_size: int, source: str, job_id: str | None) -> Identity:
    return Identity(rank=rank, size=size, local_rank=local_rank, local_size=local_size, source=source, job_id=job_id)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, place(0, 1, 0, 1, "single", None)),
        (OPEN_MPI, place(5, 8, 2, 4, "openmpi", "prterun-node-4151@1")),
        (MPICH, place(3, 6, 1, 2, "pmi", None)),
        (SLURM, place(4, 7, 1, 3, "slurm", "slurm-77.2")),
        (TORCHRUN, place(6, 9, 0, 3, "torchrun", "torchelastic-run-12")),
        (
            {
                "PMIX_RANK": "1",
                "WORLD_SIZE": "2",
                "PMIX_NAMESPACE": "x",
                "SMDATAPARALLEL_USE_SINGLENODE": "1",
            },
            place(1, 2, 1, 2, "pmix", "x"),
        ),
        # Cray's names for the local place
        (
            {"PMI_RANK": "1", "PMI_SIZE": "4", "PMI_LOCAL_RANK": "1", "PMI_LOCAL_SIZE": "2"},
            place(1, 4, 1, 2, "pmi", None),
        ),
        # an empty value counts as unset
        ({"RANK": "", "WORLD_SIZE": "", **OPEN_MPI}, place(5, 8, 2, 4, "openmpi", "prterun-node-4151@1")),
    ],
)
def test_each_source(env: dict[str, str], expected: Identity) -> None:
    assert read_identity(env) == expected


def test_torchrun_goes_before_the_launcher_around_it() -> None:
    # one torchrun per node, started by srun or mpirun: their ranks and job are another world's
    assert read_identity({**SLURM, **OPEN_MPI, **TORCHRUN}) == place(6, 9, 0, 3, "torchrun", "torchelastic-run-12")
    without_local = {"RANK": "6", "WORLD_SIZE": "9", **OPEN_MPI}
    found = read_identity(without_local)
    assert (found.local_rank, found.local_known, found.job_id) == (0, False, None)


def test_smdataparallel_goes_before_open_mpi_and_borrows_what_agrees() -> None:
    env = {**OPEN_MPI, "SMDATAPARALLEL_WORLD_RANK": "5", "SMDATAPARALLEL_WORLD_SIZE": "8"}
    assert read_identity(env) == place(5, 8, 2, 4, "smdataparallel", "prterun-node-4151@1")


def test_local_rank_of_torch_counts_beside_another_source() -> None:
    assert read_identity({**OPEN_MPI, "LOCAL_RANK": "0"}).local_rank == 0


def test_local_place_is_never_computed() -> None:
    found = read_identity({"RANK": "5", "WORLD_SIZE": "8", "MASTER_ADDR": "node0"})
    assert (found.local_rank, found.local_size, found.local_known) == (0, 1, False)
    assert not found.local_size_known


@pytest.mark.parametrize(
    ("local_rank", "local_size", "size", "believed"),
    [
        ("0", "2", "3", False),  # does not divide the world: hosts differ
        ("2", "1", "4", False),  # fewer than this rank shows
        ("1", "2", "4", True),
        ("3", "4", "4", True),
    ],
)
def test_open_mpi_5_tells_the_local_size_of_the_last_host(
    local_rank: str, local_size: str, size: str, believed: bool
) -> None:
    env = {
        "PRTE_LAUNCHED": "1",
        "OMPI_COMM_WORLD_RANK": "2",
        "OMPI_COMM_WORLD_SIZE": size,
        "OMPI_COMM_WORLD_LOCAL_RANK": local_rank,
        "OMPI_COMM_WORLD_LOCAL_SIZE": local_size,
    }
    found = read_identity(env)
    assert (found.local_rank, found.local_known) == (int(local_rank), True)
    assert found.local_size_known is believed
    assert int(local_rank) < found.local_size
    if not believed:
        assert found.local_size < int(size)
        assert read_identity({**env, "LOCAL_WORLD_SIZE": "3"}).local_size == 3


@pytest.mark.parametrize(
    "one_host", [{"MASTER_ADDR": "127.0.0.1"}, {"MASTER_ADDR": "localhost"}, {"LOCAL_WORLD_SIZE": "8"}]
)
def test_on_one_host_the_local_rank_is_the_rank(one_host: dict[str, str]) -> None:
    found = read_identity({"RANK": "5", "WORLD_SIZE": "8", **one_host})
    assert (found.local_rank, found.local_size, found.local_known) == (5, 8, True)


@pytest.mark.parametrize(
    ("changes", "inside"),
    [
        ({}, True),
        ({"SLURM_STEP_ID": ""}, False),
        ({"SLURM_STEP_ID": "4294967291"}, False),  # the batch script
        ({"SLURM_STEP_ID": "4294967290"}, False),  # an interactive shell
        ({"SLURM_PROCID": ""}, False),
    ],
)
def test_only_an_srun_step_is_a_slurm_rank(changes: dict[str, str], inside: bool) -> None:
    env = {**SLURM, **changes}
    assert in_slurm_step(env) is inside
    assert read_identity(env).source == ("slurm" if inside else "single")


@pytest.mark.parametrize(("node", "tasks"), [("0", 2), ("1", 2), ("2", 3), ("3", None), ("x", None)])
def test_slurm_tasks_of_this_node(node: str, tasks: int | None) -> None:
    env = {**SLURM, "SLURM_NODEID": node, "SLURM_LOCALID": "0"}
    found = read_identity(env)
    assert (found.local_size if found.local_known else None) == tasks


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"RANK": "three", "WORLD_SIZE": "4"}, ["RANK='three'", "from 0 to 3"]),
        ({"RANK": "4", "WORLD_SIZE": "4"}, ["RANK='4'", "from 0 to 3"]),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, ["RANK='-1'"]),
        ({"RANK": "0", "WORLD_SIZE": "0"}, ["WORLD_SIZE='0'", "at least 1"]),
        ({"RANK": "٣", "WORLD_SIZE": "4"}, ["RANK='٣'"]),
        ({"RANK": "1" * 5000, "WORLD_SIZE": "4"}, ["RANK="]),
        ({"RANK": "1"}, ["RANK='1'", "WORLD_SIZE is not set"]),
        ({"WORLD_SIZE": "4"}, ["WORLD_SIZE='4'", "RANK is not set"]),
        ({"PMIX_RANK": "1"}, ["PMIX_RANK='1'", "WORLD_SIZE is not set"]),
        ({**OPEN_MPI, "WORLD_SIZE": "2"}, ["WORLD_SIZE='2'", "contradicts", "OMPI_COMM_WORLD_SIZE=8"]),
        ({**OPEN_MPI, "RANK": "0"}, ["RANK='0'", "contradicts", "OMPI_COMM_WORLD_RANK=5"]),
        ({**OPEN_MPI, "LOCAL_RANK": "4"}, ["LOCAL_RANK='4'", "from 0 to 3"]),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "9"}, ["OMPI_COMM_WORLD_LOCAL_SIZE='9'", "from 1 to 8"]),
    ],
)
def test_bad_environment_names_the_variable(env: dict[str, str], words: list[str]) -> None:
    with pytest.raises(SMDDPConfigError) as caught:
        read_identity(env)
    for word in words:
        assert word in str(caught.value)


def test_half_a_pair_that_agrees_is_no_error() -> None:
    assert read_identity({**OPEN_MPI, "WORLD_SIZE": "8"}).source == "openmpi"


def test_arguments_go_first() -> None:
    found = read_identity(OPEN_MPI, rank=1, size=2, local_rank=0, local_size=1)
    assert found == place(1, 2, 0, 1, "arguments", None)
    assert read_identity(OPEN_MPI, rank=5, size=8).local_rank == 2


@pytest.mark.parametrize(
    "given_world",
    [
        {"rank": 1},
        {"size": 2},
        {"rank": 2, "size": 2},
        {"rank": -1, "size": 2},
        {"rank": "x", "size": 2},
        {"rank": 0, "size": 2.0},
    ],
)
def test_bad_arguments(given_world: dict[str, Any]) -> None:
    with pytest.raises(SMDDPArgumentError, match="give both"):
        read_identity({}, **given_world)


def test_bad_local_argument() -> None:
    with pytest.raises(SMDDPArgumentError, match="local rank 3 of 2"):
        read_identity({}, rank=0, size=4, local_rank=3, local_size=2)


def test_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.4.5.6")
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, int, int, int]:
    size = draw(st.integers(1, 10_000))
    local_size = draw(st.integers(1, size))
    return draw(st.integers(0, size - 1)), size, draw(st.integers(0, local_size - 1)), local_size


@given(worlds())
def test_what_open_mpi_says_is_what_is_read(world: tuple[int, int, int, int]) -> None:
    rank, size, local_rank, local_size = world
    env = {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(local_rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(local_size),
    }
    assert read_identity(env) == place(rank, size, local_rank, local_size, "openmpi", None)


@given(st.dictionaries(st.sampled_from(sorted({*OPEN_MPI, *MPICH, *SLURM, *TORCHRUN})), st.text(max_size=12)))
def test_any_environment_gives_a_sound_place_or_a_config_error(env: dict[str, str]) -> None:
    try:
        found = read_identity(env)
    except SMDDPConfigError:
        return
    assert 0 <= found.rank < found.size
    assert 0 <= found.local_rank < found.local_size

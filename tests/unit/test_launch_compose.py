from __future__ import annotations

import dataclasses
import shlex

import pytest

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.launch.compose import compose_launch
from smddp.launch.dry_run import format_command
from smddp.launch.hosts import format_hosts
from smddp.launch.launcher import launch_environment
from smddp.launch.options import parse_options
from smddp.launch.spec import Dialect, Launch, Machine

pytestmark = pytest.mark.timeout(30)

MACHINE = Machine(
    mpirun="/opt/bin/mpirun",
    dialect=Dialect.OPEN_MPI_5,
    core_count=4,
    is_root=False,
    host_name="here.example.org",
    rank_command=("smddprun", "--rank"),
    free_port=lambda: 20000,
    any_port=lambda: 21000,
    is_own_address=lambda text: text == "10.0.0.1",
)
ENV = {"PATH": "/bin", "HOME": "/h", "NCCL_DEBUG": "INFO", "SMDDP_HOST_ID": "h1", "HOSTNAME": "here"}


def compose(line: str, env: dict[str, str] | None = None, **machine: object) -> Launch:
    return compose_launch(
        parse_options(shlex.split(line)),
        ENV if env is None else env,
        dataclasses.replace(MACHINE, **machine),
    )


def address(launch: Launch) -> tuple[str, str]:
    added = dict(launch.set_variables)
    return added["MASTER_ADDR"], added["MASTER_PORT"]


def test_local_job() -> None:
    launch = compose("-np 3 prog")
    assert launch.is_local
    assert launch.spec.process_count == 3
    assert not launch.spec.oversubscribe
    assert not launch.spec.run_as_root
    assert address(launch) == ("127.0.0.1", "20000")
    # what names this host or this user stays here
    assert set(launch.spec.forwarded) == {
        *("PATH", "NCCL_DEBUG", "MASTER_ADDR", "MASTER_PORT", "SMDDP_JOB_SECRET"),
    }


@pytest.mark.parametrize(
    ("line", "env", "count"),
    [
        ("prog", {}, 4),
        ("-H a:2,b:3 prog", {}, 5),
        ("-H a,b prog", {}, 2),
        ("prog", {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "16", "SLURM_JOB_NUM_NODES": "2"}, 16),
        ("prog", {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "1"}, 4),
        ("-np 7 prog", {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "16"}, 7),
    ],
)
def test_number_of_ranks(line: str, env: dict[str, str], count: int) -> None:
    assert compose(line, env).spec.process_count == count


def test_unknown_number_of_ranks() -> None:
    with pytest.raises(SMDDPArgumentError, match="give -np"):
        compose("prog", {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "2"})
    with pytest.raises(SMDDPArgumentError, match="give -np"):
        compose("prog", {"PBS_NODEFILE": "/x"})


@pytest.mark.parametrize(
    ("line", "env", "needed"),
    [
        ("-np 4 p", {}, False),
        ("-np 5 p", {}, True),
        ("-np 9 -H a,b p", {}, False),
        ("-np 9 -H a:2 --oversubscribe p", {}, False),
        ("-np 9 p", {"SLURM_JOB_ID": "1"}, False),
        ("-np 9 --oversubscribe p", {"SLURM_JOB_ID": "1"}, True),
    ],
)
def test_oversubscribe_only_when_needed(line: str, env: dict[str, str], needed: bool) -> None:
    assert compose(line, env).spec.oversubscribe is needed


def test_root_flag_only_for_root() -> None:
    assert compose("p", is_root=True).spec.run_as_root


@pytest.mark.parametrize(
    ("line", "env", "expected"),
    [
        ("-H localhost:2 p", {}, ("127.0.0.1", "20000")),
        ("-H here:2 p", {}, ("127.0.0.1", "20000")),
        ("-H 127.0.0.1:2 p", {}, ("127.0.0.1", "20000")),
        ("-H b:2,here:2 p", {}, ("b", "21000")),
        ("-H localhost:2,b:2 p", {}, ("here.example.org", "20000")),
        ("-np 4 p", {"SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n[3-4]"}, ("n3", "21000")),
        ("-np 4 p", {"PBS_NODEFILE": "/x"}, ("here.example.org", "20000")),
    ],
)
def test_address(line: str, env: dict[str, str], expected: tuple[str, str]) -> None:
    assert address(compose(line, env)) == expected


def test_open_mpi_4_puts_rank_zero_on_its_own_machine() -> None:
    launch = compose("-H b:2,here:2 p", dialect=Dialect.OPEN_MPI_4)
    assert format_hosts(launch.spec.hosts) == "here:2,b:2"
    assert address(launch) == ("here.example.org", "20000")


def test_address_of_the_user_stays() -> None:
    launch = compose("p", {"MASTER_ADDR": "m", "MASTER_PORT": "9"})
    assert launch.set_variables == ()
    assert {"MASTER_ADDR", "MASTER_PORT"} <= set(launch.spec.forwarded)
    launch = compose("-x MASTER_ADDR=m -x MASTER_PORT=9 p", {})
    assert launch.set_variables == ()
    assert launch.spec.assignments == (("MASTER_ADDR", "m"), ("MASTER_PORT", "9"))
    assert launch.spec.forwarded == ("SMDDP_JOB_SECRET",)


def test_bad_port_of_the_user() -> None:
    with pytest.raises(SMDDPConfigError, match="MASTER_PORT='70000'"):
        compose("p", {"MASTER_PORT": "70000"})


def test_last_export_of_a_name_counts() -> None:
    launch = compose("--mpi-options '-x NCCL_DEBUG=VERSION' -x NCCL_DEBUG=WARN -x HOME p")
    assert launch.spec.assignments == (("NCCL_DEBUG", "WARN"),)
    assert "NCCL_DEBUG" not in launch.spec.forwarded
    assert "HOME" in launch.spec.forwarded
    launch = compose("-x HOME=/x -x HOME p")
    assert launch.spec.assignments == ()
    assert "HOME" in launch.spec.forwarded


def test_this_machine_by_its_address() -> None:
    assert compose("-H 10.0.0.1:2 p").is_local
    first = compose("-H other:2,10.0.0.1:2 p", dialect=Dialect.OPEN_MPI_4)
    assert format_hosts(first.spec.hosts) == "10.0.0.1:2,other:2"  # where Open MPI 4 begins
    assert address(first)[0] == "here.example.org"


def test_exports_by_pattern() -> None:
    env = {"AWS_REGION": "x", "AWS_KEY": "y", "HOME": "/", "RANK": "0", "WORLD_SIZE": "1", "SMDDP_HOST_ID": "h"}
    assert {"AWS_REGION", "AWS_KEY"} <= set(compose("-x 'AWS_*' p", env).spec.forwarded)
    assert "HOME" not in compose("-x 'AWS_*' p", env).spec.forwarded
    everything = compose("-x '*' p", env).spec.forwarded
    assert "HOME" in everything
    assert not {"RANK", "WORLD_SIZE", "SMDDP_HOST_ID"} & set(everything)
    assert compose("-x 'NO_*' p", env).notes == ("note: -x NO_* ignored: NO_* is not set here",)


def test_export_of_a_variable_that_is_not_set_is_told() -> None:
    launch = compose("-x NOT_THERE p")
    assert launch.notes == ("note: -x NOT_THERE ignored: NOT_THERE is not set here",)
    assert "NOT_THERE" not in launch.spec.forwarded


def test_stale_ranks_are_removed() -> None:
    env = {
        **ENV,
        "RANK": "0",
        "WORLD_SIZE": "1",
        "PMIX_SERVER_URI2": "x",
        "PMIX_MCA_gds": "hash",
        "TORCHELASTIC_RUN_ID": "r",
        "OMPI_MCA_btl": "tcp",
    }
    launch = compose("p", env)
    assert set(launch.unset_variables) == {"RANK", "WORLD_SIZE", "PMIX_SERVER_URI2", "TORCHELASTIC_RUN_ID"}
    assert not set(launch.unset_variables) & set(launch_environment(launch, env))
    assert compose("p", {"PMIX_PREFIX": "/opt"}).unset_variables == ()


def test_secret_is_made_when_missing_and_never_printed() -> None:
    fresh = compose("p")
    values = {launch_environment(fresh, ENV)["SMDDP_JOB_SECRET"] for _ in range(2)}
    assert len(values) == 2
    assert all(len(value) == 64 for value in values)
    own = {**ENV, "SMDDP_JOB_SECRET": "tell-nobody"}
    assert launch_environment(compose("p", own), own)["SMDDP_JOB_SECRET"] == "tell-nobody"
    exported = compose("-x SMDDP_JOB_SECRET=tell-nobody p")
    assert launch_environment(exported, ENV)["SMDDP_JOB_SECRET"] == "tell-nobody"
    for launch in (fresh, compose("p", own), exported):
        assert "SMDDP_JOB_SECRET" in launch.spec.forwarded
        assert "tell-nobody" not in format_command(launch)


def test_dry_run_text() -> None:
    text = format_command(compose("-np 2 -x 'A=b c' prog \"it's\"", {"RANK": "0", "WORLD_SIZE": "1"}))
    assert text == (
        "(unset RANK WORLD_SIZE; MASTER_ADDR=127.0.0.1 MASTER_PORT=20000 "
        "SMDDP_JOB_SECRET=\"$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \\n')\" "
        "/opt/bin/mpirun --bind-to none --map-by slot -np 2 "
        "-x MASTER_ADDR -x MASTER_PORT -x SMDDP_JOB_SECRET "
        "smddprun --rank -x 'A=b c' -- prog 'it'\"'\"'s')"
    )

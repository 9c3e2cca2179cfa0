from __future__ import annotations

import dataclasses

import pytest

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.launch.hosts import parse_host_list
from smddp.launch.mpirun import mpirun_argv, order_hosts, parse_dialect, split_exports, take_output_folder
from smddp.launch.spec import Dialect, LaunchSpec

pytestmark = pytest.mark.timeout(30)

SPEC = LaunchSpec(
    mpirun="/opt/bin/mpirun",
    dialect=Dialect.OPEN_MPI_5,
    process_count=4,
    program=("python", "train.py", "--lr", "0.1"),
    rank_command=("smddprun", "--rank"),
)
TAIL = ["smddprun", "--rank", "--", "python", "train.py", "--lr", "0.1"]


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (
            "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n",
            Dialect.OPEN_MPI_4,
        ),
        ("mpirun (Open MPI) 5.0.11\n", Dialect.OPEN_MPI_5),
        ("mpirun (Open MPI) 3.1.0\n", Dialect.OPEN_MPI_4),
        ("mpirun (Open MPI) 6.0.0a1\n", Dialect.OPEN_MPI_5),
        ("mpirun (OpenRTE) 1.10.2\n", Dialect.OPEN_MPI_4),
        ("HYDRA build details:\n    Version:      5.0.2\n", Dialect.HYDRA),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.18\n", Dialect.HYDRA),
    ],
)
def test_dialect(text: str, dialect: Dialect) -> None:
    assert parse_dialect(text, "mpirun") is dialect


@pytest.mark.parametrize("text", ["", "true (GNU coreutils) 9.1\nmore", "mpirun: command failed"])
def test_unknown_mpirun(text: str) -> None:
    with pytest.raises(SMDDPConfigError, match="expected Open MPI or MPICH") as caught:
        parse_dialect(text, "/x/mpirun")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dialect", "changes", "expected"),
    [
        (Dialect.OPEN_MPI_5, {}, ["--bind-to", "none", "--map-by", "slot", "-np", "4"]),
        (Dialect.OPEN_MPI_4, {}, ["--bind-to", "none", "--map-by", "slot", "-np", "4"]),
        (Dialect.HYDRA, {}, ["-n", "4"]),
        (
            Dialect.OPEN_MPI_5,
            {"run_as_root": True, "oversubscribe": True},
            ["--allow-run-as-root", "--bind-to", "none", "--map-by", "slot:OVERSUBSCRIBE", "-np", "4"],
        ),
        (
            Dialect.OPEN_MPI_4,
            {"run_as_root": True, "oversubscribe": True},
            ["--allow-run-as-root", "--bind-to", "none", "--map-by", "slot", "--oversubscribe", "-np", "4"],
        ),
        (Dialect.HYDRA, {"run_as_root": True, "oversubscribe": True}, ["-n", "4"]),
        (
            Dialect.OPEN_MPI_5,
            {"forwarded": ("PATH", "MASTER_ADDR")},
            ["--bind-to", "none", "--map-by", "slot", "-np", "4", "-x", "PATH", "-x", "MASTER_ADDR"],
        ),
        (Dialect.HYDRA, {"forwarded": ("PATH",)}, ["-n", "4"]),
        (
            Dialect.OPEN_MPI_4,
            {"hosts": parse_host_list("a:2,b:2")},
            ["--bind-to", "none", "--map-by", "slot", "-np", "4", "-H", "a:2,b:2"],
        ),
        (
            Dialect.OPEN_MPI_5,
            {"hosts": parse_host_list("a:4")},
            ["--bind-to", "none", "--map-by", "slot", "-np", "4", "-H", "a:4"],
        ),
        (Dialect.HYDRA, {"hosts": parse_host_list("a:2,b:2")}, ["-n", "4", "-hosts", "a:2,b:2"]),
        # what the user maps or binds by hand is not mapped or bound again
        (
            Dialect.OPEN_MPI_5,
            {"mpi_options": ("--bind-to", "core", "-verbose")},
            ["--map-by", "slot", "-np", "4", "--bind-to", "core", "-verbose"],
        ),
        (
            Dialect.OPEN_MPI_5,
            {
                "mpi_options": ("-map-by", "node", "--allow-run-as-root"),
                "oversubscribe": True,
                "run_as_root": True,
            },
            [
                *("--bind-to", "none", "--oversubscribe", "-np", "4"),
                *("-map-by", "node", "--allow-run-as-root"),
            ],
        ),
    ],
)
def test_argv(dialect: Dialect, changes: dict[str, object], expected: list[str]) -> None:
    spec = dataclasses.replace(SPEC, dialect=dialect, **changes)
    assert mpirun_argv(spec) == ["/opt/bin/mpirun", *expected, *TAIL]


def test_open_mpi_5_passes_the_slots_to_the_ranks() -> None:
    spec = dataclasses.replace(SPEC, hosts=parse_host_list("a:1,b:3"))
    argv = mpirun_argv(spec)
    assert argv[argv.index("smddprun") :] == ["smddprun", "--rank", "--slots", "1,3", *TAIL[2:]]
    mapped = mpirun_argv(dataclasses.replace(spec, mpi_options=("--map-by", "node")))
    assert mapped[mapped.index("smddprun") :] == TAIL


@pytest.mark.parametrize("dialect", list(Dialect))
def test_assigned_values_pass_as_words_of_the_rank_command(dialect: Dialect) -> None:
    spec = dataclasses.replace(SPEC, dialect=dialect, assignments=(("A", 'x; "y" $z\n'), ("B", "")))
    argv = mpirun_argv(spec)
    assert argv[argv.index("smddprun") :] == [
        *("smddprun", "--rank", "-x", 'A=x; "y" $z\n', "-x", "B=", "--"),
        *("python", "train.py", "--lr", "0.1"),
    ]


def test_exports_are_taken_out_of_the_mpi_options() -> None:
    words = ["-verbose", "-x", "NCCL_DEBUG=VERSION", "-mca", "btl", "^openib", "-x", "HOME"]
    assert split_exports(words) == (("-verbose", "-mca", "btl", "^openib"), ("NCCL_DEBUG=VERSION", "HOME"))


@pytest.mark.parametrize("word", ["-np", "--np", "-n", "-H", "--host", "--hostfile", "-machinefile", "--host=a"])
def test_options_that_smddprun_must_know_are_refused_among_the_mpi_options(word: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=f"--mpi-options holds {word}"):
        split_exports(["-verbose", word, "3"])


@pytest.mark.parametrize("words", [["-x"], ["-x", "-verbose"], ["-x", "=3"]])
def test_export_without_a_name(words: list[str]) -> None:
    with pytest.raises(SMDDPArgumentError, match="-x needs NAME"):
        split_exports(words)


@pytest.mark.parametrize(
    "words", [["--output-filename", "d"], ["-output-filename", "d:nocopy"], ["--output-filename=d"]]
)
def test_folder_for_output_is_taken_out_of_the_mpi_options(words: list[str]) -> None:
    assert take_output_folder(["-verbose", *words, "-mca", "a", "b=c"]) == (("-verbose", "-mca", "a", "b=c"), "d")


def test_other_mpi_options_stay() -> None:
    words = ["-verbose", "--output", "tag,timestamp", "--tune", "file=x"]
    assert take_output_folder(words) == (tuple(words), None)


@pytest.mark.parametrize(
    "words",
    [
        ["--output", "tag,file=x"],
        ["--output", "dir=x"],
        ["--output=file=x"],
        ["-outfile-pattern", "x"],
        ["-errfile-pattern=x"],
    ],
)
def test_files_that_mpirun_would_write_are_refused(words: list[str]) -> None:
    with pytest.raises(SMDDPArgumentError, match=f"--mpi-options holds {words[0]}: use --log-dir"):
        take_output_folder(words)


@pytest.mark.parametrize("words", [["--output-filename"], ["--output-filename", "-verbose"], ["--output-filename="]])
def test_folder_for_output_without_a_name(words: list[str]) -> None:
    with pytest.raises(SMDDPArgumentError, match="needs a folder"):
        take_output_folder(words)


def test_open_mpi_4_fills_its_own_machine_first() -> None:
    hosts = parse_host_list("b:2,here:2,c:2")
    own_names = frozenset({"here", "localhost"})
    assert [host.name for host in order_hosts(hosts, Dialect.OPEN_MPI_4, own_names)] == ["here", "b", "c"]
    assert order_hosts(hosts, Dialect.OPEN_MPI_5, own_names) == hosts
    assert order_hosts(hosts, Dialect.HYDRA, own_names) == hosts

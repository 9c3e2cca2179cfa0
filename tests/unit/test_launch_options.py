from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.errors import SMDDPArgumentError
from smddp.launch.options import parse_options
from smddp.launch.spec import Host, Options

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["prog"], Options(program=("prog",))),
        (["-np", "4", "prog", "-np", "9"], Options(program=("prog", "-np", "9"), process_count=4)),
        (["-n", "4", "--", "-prog", "--help"], Options(program=("-prog", "--help"), process_count=4)),
        (["-H", "a:2,b", "p"], Options(program=("p",), hosts=(Host("a", 2), Host("b")))),
        (["--host", "a", "p"], Options(program=("p",), hosts=(Host("a"),))),
        (
            ["-H", "a", "-np", "4", "--host", "b:2,c", "-H", "d:1", "p"],
            Options(program=("p",), process_count=4, hosts=(Host("a"), Host("b", 2), Host("c"), Host("d", 1))),
        ),
        (
            ["--mpi-options", "-verbose -x NCCL_DEBUG=VERSION", "-x", "A=1", "-x", "B", "p"],
            Options(program=("p",), mpi_options=("-verbose",), exports=("NCCL_DEBUG=VERSION", "A=1", "B")),
        ),
        (["--mpi-options", "-verbose", "p"], Options(program=("p",), mpi_options=("-verbose",))),
        (
            ["--mpi-options", "-verbose -x A=1", "--mpi-options=-x 'B=2 3'", "p"],
            Options(program=("p",), mpi_options=("-verbose",), exports=("A=1", "B=2 3")),
        ),
        (["--mpi-options=-verbose", "p"], Options(program=("p",), mpi_options=("-verbose",))),
        (
            ["--mpi-options", "--output 'a b'", "p"],
            Options(program=("p",), mpi_options=("--output", "a b")),
        ),
        (["--dry-run", "--oversubscribe", "p"], Options(program=("p",), dry_run=True, oversubscribe=True)),
        (["--mpirun", "/opt/mpirun", "p"], Options(program=("p",), mpirun="/opt/mpirun")),
        (["-x", "A=b=c d", "p"], Options(program=("p",), exports=("A=b=c d",))),
    ],
)
def test_parse(words: list[str], expected: Options) -> None:
    assert parse_options(words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no program"),
        (["-np", "2"], "no program"),
        (["-np", "2", "--"], "no program"),
        (["-np", "0", "p"], "at least 1, not '0'"),
        (["-np", "-3", "p"], "at least 1, not '-3'"),
        (["-np", "2.5", "p"], "at least 1, not '2.5'"),
        (["-np"], "expected one argument"),
        (["--bogus", "p"], "unrecognized arguments: --bogus"),
        (["--dry", "p"], "unrecognized arguments: --dry"),
        (["-H", "a:0", "p"], "slot count"),
        (["-H", "", "p"], "empty"),
        (["-H", "a", "-H", "", "p"], "empty"),
        (["-H", "a:1", "-H", "b:x", "p"], "-H b:x: 'x' is not a slot count"),
        (["-H", "a", "-H", "b,a", "p"], "host a is listed twice"),
        (["--hostfile", "f", "--hostfile", "g", "p"], r"--hostfile is given 2 times \(f, g\): put all hosts into one"),
        (["-H", "a", "--hostfile", "f", "p"], "not allowed with"),
        (["--hostfile", "/no/such/file", "p"], "--hostfile /no/such/file: cannot read it: No such file"),
        (["--hostfile", "/", "p"], "--hostfile /: cannot read it"),
        (["--mpi-options", "-x 'A", "p"], "--mpi-options .*quotation"),
        (["--mpi-options", "-np 2", "p"], "holds -np"),
        (["-x", "=1", "p"], "expected NAME or NAME=VALUE"),
        (["-x", "", "p"], "expected NAME or NAME=VALUE"),
    ],
)
def test_bad_command_line_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message) as caught:
        parse_options(words)
    assert "\n" not in str(caught.value)


def test_hostfile(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("a slots=2\nb:1 # last\n", encoding="utf-8")
    assert parse_options(["--hostfile", str(file), "p"]).hosts == (Host("a", 2), Host("b", 1))


def test_binary_hostfile(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SMDDPArgumentError, match="it is not text"):
        parse_options(["--hostfile", str(file), "p"])


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options([word])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("smddprun " if word == "--version" else "usage: smddprun ")


@given(
    st.lists(st.text(min_size=1).filter(lambda word: not word.startswith("-")), min_size=1, max_size=1),
    st.lists(st.text(), max_size=5),
    st.lists(st.text(max_size=9).map(lambda value: f"NAME={value}"), max_size=3),
)
def test_program_and_exports_pass_unchanged(first: list[str], rest: list[str], exports: list[str]) -> None:
    words = ["-np", "3", *(word for export in exports for word in ("-x", export)), *first, *rest]
    options = parse_options(words)
    assert options.program == (*first, *rest)
    assert options.exports == tuple(exports)

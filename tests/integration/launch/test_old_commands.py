"""The commands of the original, name by name, with the words that scripts and the training platform put behind them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata

import pytest
from integration.launch.helpers import LAUNCHERS, REPORT, TIMEOUT_S, Launcher, clean_environment, ranks_of

from support.jobs import BIN

pytestmark = pytest.mark.timeout(120)

COMMANDS = ("smddprun", "smddpmprun", "smddpsinglenode", "smddp_singlenode_dev")
PROGRAM = (sys.executable, "-c", REPORT)
#: A job on all cores of the machine would be a large one elsewhere.
ON_TWO_CORES = (
    "import os, sys; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2]); os.execv(sys.argv[1], sys.argv[1:])"
)
PLATFORM_WORDS = ("-i", "ml.p4d.24xlarge", "--allow-bypass")


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**clean_environment(), **env},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def command(name: str) -> str:
    return str(BIN / name)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_installed(name: str) -> None:
    assert name in {script.name for script in metadata.distribution("smddp").entry_points}
    assert os.access(command(name), os.X_OK)


@pytest.mark.skipif(LAUNCHERS["this-environment"] is None, reason="no mpirun in this environment")
@pytest.mark.parametrize("words", [(), ("-x", "SET=a b"), ("-x", "FORWARDED", "-x", "SET=a b")], ids=" ".join)
@pytest.mark.parametrize("name", ["smddprun", "smddpsinglenode", "smddp_singlenode_dev"])
def test_launches_on_this_machine_without_any_number(name: str, words: tuple[str, ...]) -> None:
    argv = (sys.executable, "-c", ON_TWO_CORES, command(name), *words, *PROGRAM)
    ranks = ranks_of(run(*argv, FORWARDED="yes"))
    assert [env["RANK"] for env in ranks] == [env["LOCAL_RANK"] for env in ranks] == ["0", "1"][: len(ranks)]
    assert {env["WORLD_SIZE"] for env in ranks} == {str(len(ranks))}
    assert {env.get("SET") for env in ranks} == {"a b" if words else None}
    assert {env["FORWARDED"] for env in ranks} == {"yes"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smddprun", ()),
        ("smddprun", ("-x", "SET=a b")),
        ("smddpsinglenode", ("-x", "SET=a b")),
        ("smddp_singlenode_dev", ()),
        ("smddpmprun", PLATFORM_WORDS),
        ("smddpmprun", ("--allow-bypass", "-i", "ml.p3.16xlarge", "-x", "SET=a b")),
        ("smddpmprun", ()),
    ],
)
def test_wraps_a_rank_of_mpirun(launcher: Launcher, name: str, words: tuple[str, ...]) -> None:
    ranks = ranks_of(launcher.inside(2, command(name), *words, *PROGRAM))
    assert [env["RANK"] for env in ranks] == [env["SMDATAPARALLEL_WORLD_RANK"] for env in ranks] == ["0", "1"]
    assert sorted(env["LOCAL_RANK"] for env in ranks) == ["0", "1"]
    assert {env["MASTER_ADDR"] for env in ranks} == {"127.0.0.1"}
    assert len({env["MASTER_PORT"] for env in ranks}) == 1
    assert {env.get("SET") for env in ranks} == {"a b" if "SET=a b" in words else None}
    instance = words[words.index("-i") + 1] if "-i" in words else None
    assert {env.get("SAGEMAKER_INSTANCE_TYPE") for env in ranks} == {instance}


# --- smddpmprun ----------------------------------------------------------------------------------------------

RANK = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_instance_type_of_the_platform_stays() -> None:
    env = RANK | {"SAGEMAKER_INSTANCE_TYPE": "ml.p4de.24xlarge"}
    (rank,) = ranks_of(run(command("smddpmprun"), "-i", "ml.p4d.24xlarge", *PROGRAM, **env))
    assert rank["SAGEMAKER_INSTANCE_TYPE"] == "ml.p4de.24xlarge"


def test_arguments_of_the_program_are_its_own() -> None:
    words = ["-i", "x", "--allow-bypass", "--help", "--", "-x", "A=1", ""]
    echo = "import sys; print(sys.argv[1:])"
    for own in (PLATFORM_WORDS, (*PLATFORM_WORDS, "--"), ()):
        done = run(command("smddpmprun"), *own, sys.executable, "-c", echo, *words, **RANK)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{words}\n", "")


def test_outside_a_rank_the_program_runs_as_it_is() -> None:
    code = "import os; print(os.environ.get('RANK'), os.environ['SAGEMAKER_INSTANCE_TYPE'], os.environ['SET'])"
    words = (*PLATFORM_WORDS, "-x", "SET=a b", sys.executable, "-c", f"{code}; raise SystemExit(9)")
    done = run(command("smddpmprun"), *words)
    assert (done.returncode, done.stdout, done.stderr) == (9, "None ml.p4d.24xlarge a b\n", "")


@pytest.mark.parametrize(
    ("words", "env", "part"),
    [
        (["true"], {}, "--allow-bypass"),
        (["-i", "ml.p4d.24xlarge", "true"], {}, "no launcher"),
        (["--allow-bypass"], {}, "no program given"),
        (["-i", "ml.p4d.24xlarge"], RANK, "no program given"),
        (["-i"], RANK, "-i needs"),
        (["-i", "", "true"], RANK, "-i needs"),
        (["-np", "2", "true"], RANK, "'-np'"),
        (["-x", "=1", "true"], RANK, "-x needs"),
        (["--allow-bypass", "/no/such/program"], {}, "cannot run '/no/such/program': No such file"),
        (["/no/such/program"], RANK, "rank 1: cannot run '/no/such/program': No such file"),
        (["true"], {"RANK": "1"}, "WORLD_SIZE is not set"),
    ],
)
def test_one_clear_line(words: list[str], env: dict[str, str], part: str) -> None:
    done = run(command("smddpmprun"), *words, **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("smddpmprun: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"]])
def test_help_and_version(words: list[str]) -> None:
    done = run(command("smddpmprun"), *words, **RANK)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("smddpmprun ") or "usage: smddpmprun" in done.stdout

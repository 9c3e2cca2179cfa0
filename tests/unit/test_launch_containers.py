"""The Dockerfiles of the examples: what they copy is there, and the rules that matter for images hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.jobs import REPOSITORY

FOLDER = REPOSITORY / "examples" / "sagemaker"
DOCKERFILES = sorted(path.name for path in FOLDER.glob("Dockerfile.*") if path.suffix != ".dockerignore")
KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "WORKDIR"}


@dataclass(frozen=True)
class Instruction:
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return self.text.split()


def read(name: str) -> list[Instruction]:
    """The instructions, with their lines joined and comments left out."""
    lines = [line for line in (FOLDER / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines) + "\n")
    found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [Instruction(words[0], words[1]) for words in found]


def copied(name: str) -> list[str]:
    """What comes from the repository."""
    sources = []
    for instruction in read(name):
        if instruction.name == "COPY" and "--from" not in instruction.text:
            sources += instruction.words[:-1]
    return sources


def is_sent(path: str, ignore: Path) -> bool:
    """Whether the file of what to ignore lets a path of the repository through; last pattern wins."""
    sent = True
    for line in ignore.read_text(encoding="utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if line.strip() and not line.startswith("#") and (pattern in ("*", path)):
            sent = line.startswith("!")
    return sent


def test_both_ways_are_there() -> None:
    assert DOCKERFILES == ["Dockerfile.extend", "Dockerfile.own"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_suffices(name: str) -> None:
    sources = copied(name)
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert is_sent(source, FOLDER / f"{name}.dockerignore"), source
    # what the build reads
    assert {"pyproject.toml", "CMakeLists.txt", "native", "smddp", "README.md", "LICENSE"} <= set(sources)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_instructions(name: str) -> None:
    instructions = read(name)
    assert {instruction.name for instruction in instructions} <= KNOWN
    stages = set()
    for instruction in instructions:
        words = instruction.words
        if instruction.name == "FROM":
            # an image of one version, or the builder's choice
            assert re.fullmatch(r"\$\{\w+\}|[\w./-]+:(?!latest)[\w.-]+", words[0])
            stages |= {words[2]} if words[1:2] == ["AS"] else set()
        elif instruction.name == "WORKDIR":
            assert words[0].startswith("/")
        elif instruction.name in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(instruction.text))
        elif instruction.name == "COPY" and words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
            assert all(word.startswith("/") for word in words[1:])
        elif instruction.name == "COPY" and len(words) > 2:
            assert words[-1].endswith("/")  # several files go into a folder


@pytest.mark.parametrize("name", DOCKERFILES)
def test_run_lines_leave_nothing_behind(name: str) -> None:
    for instruction in read(name):
        if instruction.name != "RUN":
            continue
        commands = [command.split() for command in re.split(r"&&|\|\||;", instruction.text)]
        for words in commands:
            if words[:2] == ["apt-get", "install"]:
                assert {"-y", "--no-install-recommends"} <= set(words)
                assert ["apt-get", "update"] in commands
                assert ["rm", "-rf", "/var/lib/apt/lists/*"] in commands
            if words[:2] in (["pip", "install"], ["pip", "wheel"]):
                assert "--no-cache-dir" in words
        assert "sudo" not in instruction.text


def test_versions_are_those_we_test_with() -> None:
    text = (FOLDER / "Dockerfile.own").read_text(encoding="utf-8")
    tested = (REPOSITORY / "requirements-dev.txt").read_text(encoding="utf-8")
    (torch,) = set(re.findall(r"torch==\S+", text))
    assert f"\n{torch}\n" in tested
    files = ("requirements-sagemaker-sdk2.txt", "requirements-sagemaker-sdk2-no-deps.txt")
    toolkits = "".join((REPOSITORY / file).read_text(encoding="utf-8") for file in files)
    for package in ("sagemaker-training", "sagemaker-pytorch-training"):
        (version,) = set(re.findall(rf"{package}==([\d.]+)", text))
        assert f"{package}=={version}" in toolkits


def test_own_image_has_what_the_toolkit_asks_for() -> None:
    instructions = read("Dockerfile.own")
    text = " ".join(instruction.text for instruction in instructions)
    for needed in (
        "openmpi-bin",
        "openssh-server",
        "mpi4py",
        "authorized_keys",
        "ssh-keygen -A",
        "pam_loginuid",
        "tini",
    ):
        assert needed in text
    environment = " ".join(instruction.text for instruction in instructions if instruction.name == "ENV")
    assert "SAGEMAKER_TRAINING_MODULE=sagemaker_pytorch_container.training:main" in environment


def test_readme_names_files_that_exist() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"examples/sagemaker/([\w.]+)", text):
        assert (FOLDER / name).exists(), name

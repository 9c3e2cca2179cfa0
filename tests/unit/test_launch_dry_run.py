"""The command that --dry-run prints means to a shell what smddprun would have done."""

from __future__ import annotations

import dataclasses
import os
import secrets
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smddp.launch.compose import compose_launch
from smddp.launch.dry_run import format_command
from smddp.launch.launcher import launch_environment
from smddp.launch.mpirun import mpirun_argv
from smddp.launch.spec import Dialect, Host, Machine, Options

pytestmark = pytest.mark.timeout(120)

#: What no word is: they are also made of what stands in our source.
END = secrets.token_hex(16)

#: Whatever a process may be given, but the few that no program can.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
names = st.from_regex(r"[A-Z][A-Z0-9_]{1,8}", fullmatch=True)
hosts = st.lists(
    st.builds(Host, st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True), st.integers(1, 9)),
    max_size=4,
    unique_by=lambda host: host.name,
)
options = st.builds(
    Options,
    program=st.lists(words, min_size=1, max_size=3).map(tuple),
    process_count=st.just(1),
    hosts=hosts.map(tuple),
    mpi_options=st.lists(words.map("--".__add__), max_size=3).map(tuple),
    exports=st.lists(st.one_of(names, st.builds("{}={}".format, names, words)), max_size=4).map(tuple),
    timeout=st.none() | st.integers(1, 9),
    tag_output=st.booleans(),
    log_folder=st.none() | words,
    dry_run=st.just(True),
)
environments = st.dictionaries(st.one_of(names, st.sampled_from(["RANK", "SMDDP_X", "NCCL_Y"])), words, max_size=4)


@pytest.fixture
def mpirun(tmp_path: Path) -> Path:
    """Prints its arguments and its environment."""
    script = tmp_path / "mpirun"
    script.write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" {END}\nexec env -0\n", encoding="ascii")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("dialect", Dialect)
@settings(max_examples=70, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(options=options, env=environments)
def test_shell_does_the_same(mpirun: Path, dialect: Dialect, options: Options, env: dict[str, str]) -> None:
    env = {"PATH": os.environ["PATH"], **{name: value for name, value in env.items() if name != "PATH"}}
    machine = Machine(
        mpirun=str(mpirun),
        dialect=dialect,
        core_count=4,
        is_root=True,
        host_name="here",
        rank_command=("smddprun", "--rank"),
        free_port=lambda: 20000,
        any_port=lambda: 30000,
        is_own_address=lambda text: text == "10.0.0.1",
    )
    launch = compose_launch(options, env, machine)
    ran = subprocess.run(["bash", "-c", format_command(launch)], env=env, capture_output=True, check=True, timeout=30)
    parts = ran.stdout.decode().split("\0")[:-1]
    end = parts.index(END)
    # Watched is the job of a smddprun that stays above it.
    assert parts[:end] == mpirun_argv(dataclasses.replace(launch.spec, is_watched=False))[1:]
    got = dict(part.split("=", 1) for part in parts[end + 1 :])
    wanted = launch_environment(launch, env)
    for name in {*got, *wanted} - {"SMDDP_JOB_SECRET", "PWD", "SHLVL", "_", "OLDPWD"}:
        assert got.get(name) == wanted.get(name), name
    assert len(got["SMDDP_JOB_SECRET"]) > 0

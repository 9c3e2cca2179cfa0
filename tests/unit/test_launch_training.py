"""What the script of a training job finds around it: the pure parts, and the facts of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.launch.training import facts
from smddp.launch.training.failure import ErrorLines, failure_text
from smddp.launch.training.hyperparameters import decode, encode, split, user_arguments

pytestmark = pytest.mark.timeout(60)


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=5,
    )
)
def test_hyperparameters_round_trip(values: dict[str, object]) -> None:
    assert decode(encode(values)) == values
    parts = split(values)
    assert {**parts.user, **parts.framework, **parts.platform} == values
    assert len(user_arguments(parts.user)) == 2 * len(parts.user)


def test_hyperparameters_that_are_not_json_stay_as_they_are() -> None:
    assert decode({"a": "plain text", "b": "3", "c": '"3"'}) == {"a": "plain text", "b": 3, "c": "3"}


def test_arguments_of_dictionaries() -> None:
    assert user_arguments({"d": {"y": 1, "x": "a"}}) == ["-d", "x=a,y=1"]


def collect(text: str) -> list[str]:
    errors = ErrorLines()
    for line in text.splitlines(keepends=True):
        errors.add(line)
    return errors.lines()


def test_failure_begins_with_the_error() -> None:
    text = (
        "epoch 1\n[1,3]<stderr>:Traceback (most recent call last):\n[1,3]<stderr>:    raise ValueError(x)\n"
        "[1,3]<stderr>:SMDDPPeerLostError: rank 0 (a): all_reduce #3 failed\nafter\nafter\n"
        "smddprun: job failed: rank 3 (b) exited with code 7: ValueError: boom\n"
    )
    assert collect(text) == [
        "smddprun: job failed: rank 3 (b) exited with code 7: ValueError: boom",
        "SMDDPPeerLostError: rank 0 (a): all_reduce #3 failed",
        "after",
    ]
    lines = collect(text)
    assert failure_text(lines, 7, ["python", "t.py", "a b"]).startswith("SMDDPPeerLostError:\nExitCode 7\nErrorMessage")
    assert failure_text(lines, 7, ["python", "t.py", "a b"]).endswith("Command \"python t.py 'a b'\"\n")


@pytest.mark.parametrize("tag", ["", "[1,3]<stderr>:", "[1,3]<stderr>: ", "[3] "])
def test_failure_of_a_script_in_whose_lines_torch_names_the_rank(tag: str) -> None:
    said = ["epoch 1", "[rank3]: Traceback (most recent call last):", "[rank3]:     raise ValueError(x)"]
    said += ["[rank3]: ValueError: boom", "[rank3]: ", "[rank1]: after", "[rank2]: after"]
    assert collect("".join(f"{tag}{line}\n" for line in said)) == ["ValueError: boom", "after"]


def test_failure_without_a_known_error() -> None:
    assert collect("".join(f"line {i}\n" for i in range(100))) == [f"line {i}" for i in range(90, 100)]
    assert failure_text(["x"], 3, ["p"]).startswith("ExecuteUserScriptError:\nExitCode 3\n")
    assert collect("") == []


def test_failure_is_bounded() -> None:
    assert len(collect("ValueError: x\n" + "".join(f"{i} {'y' * 1000}\n" for i in range(1000)))) == 60


def test_interface_of_the_default_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\nens5 0000FEA9 0\nens6 00000000 0\n", encoding="ascii")
    assert facts.network_interface(routes) == "ens6"
    assert facts.network_interface(tmp_path / "none") == "eth0"


def test_names_of_this_machine() -> None:
    assert facts.is_this_machine("localhost")
    assert facts.is_this_machine(os.uname().nodename)
    assert not facts.is_this_machine("algo-77")

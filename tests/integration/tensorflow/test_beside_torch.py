"""The adapters for torch and TensorFlow in one process, and each without the other framework."""

from __future__ import annotations

import importlib.util

import pytest

from support.world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("torch", "tensorflow")),
        reason="needs torch and tensorflow",
    ),
]


def _run(case: str, *arguments: str) -> None:
    path = f"integration.tensorflow.cases.beside:{case}"
    with World(2, path, *arguments, env={"TF_CPP_MIN_LOG_LEVEL": "3"}, seconds=55) as world:
        for rank in world.join():
            assert rank.returncode == 0, rank.stderr


@pytest.mark.parametrize("first", ["torch", "tensorflow"])
def test_in_one_process(first: str) -> None:
    _run("both", first)


@pytest.mark.parametrize(("framework", "other"), [("torch", "tensorflow"), ("tensorflow", "torch")])
def test_without_the_other(framework: str, other: str) -> None:
    _run("alone", framework, other)

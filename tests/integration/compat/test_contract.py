"""The contract of the original, name by name (see `contract`)."""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
from integration.compat.contract import BEHAVIOURS, LIFTED, NAMES, Behaviour, Name
from integration.compat.jobs import SECONDS
from integration.compat.test_worlds import ON_SEVERAL_RANKS

from smddp import errors

from support.jobs import REPOSITORY

pytestmark = pytest.mark.timeout(SECONDS)

TESTS = REPOSITORY / "tests"
COMPAT = REPOSITORY / "smddp" / "compat"
CASES = "integration/compat/cases/"
PAGE = REPOSITORY / "docs" / "older-modules.md"


def found(path: str) -> Any:
    module, _, name = path.partition(":")
    return functools.reduce(getattr, filter(None, name.split(".")), importlib.import_module(module))


class Shown:
    """A default value, as it is written in a signature."""

    def __init__(self, value: object) -> None:
        self._text = str(value) if isinstance(value, enum.Enum) else repr(value)

    def __repr__(self) -> str:
        return self._text


def signature_of(function: Any) -> str:
    signature = inspect.signature(function)
    bare = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.default if parameter.default is parameter.empty else Shown(parameter.default),
        )
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.path)
def test_name_is_there_and_is_called_like_that(name: Name) -> None:
    thing = found(name.path)
    if name.signature:
        assert signature_of(thing) == name.signature


@functools.cache
def functions_in(path: Path) -> frozenset[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    "row", [*NAMES, *BEHAVIOURS], ids=lambda row: row.path if isinstance(row, Name) else row.promise
)
def test_row_is_proven_by_tests_that_run(row: Name | Behaviour) -> None:
    assert row.proofs
    for proof in row.proofs:
        file, _, function = proof.partition("::")
        assert function in functions_in(TESTS / file), proof
        if file.startswith(CASES):
            assert f"{Path(file).stem}:{function}" in ON_SEVERAL_RANKS, proof
        else:
            assert function.startswith("test_"), proof


def test_no_name_is_missing_from_the_table() -> None:
    """Whatever the old packages offer is in the contract, or known to be more than that."""
    # The TensorFlow module has a table of its own, beside its tests, and importing it takes seconds.
    modules = [
        ".".join(path.relative_to(COMPAT).with_suffix("").parts).removesuffix(".__init__")
        for path in COMPAT.rglob("*.py")
        if "tensorflow" not in path.parts
    ]
    offered = {f"{module}:{name}" for module in modules for name in importlib.import_module(module).__all__}
    exceptions = {f"smdistributed.dataparallel.exceptions:{name}" for name in errors.__all__}
    in_table = {name.path for name in NAMES}
    assert offered - in_table - exceptions == LIFTED
    assert set(modules) <= in_table


def test_same_object_under_every_path() -> None:
    for name in ("get_local_rank", "get_rank", "get_world_size"):
        old = "smdistributed.dataparallel.torch"
        assert found(f"{old}:{name}") is found(f"{old}.distributed:{name}")
    parallel = "smdistributed.dataparallel.torch.parallel"
    assert found(f"{parallel}:DistributedDataParallel") is found(f"{parallel}.distributed:DistributedDataParallel")


def test_page_names_everything() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [
        path
        for path in sorted({name.path for name in NAMES} | LIFTED)
        if f"`{path.rpartition(':')[2]}" not in text or path.partition(":")[0] not in text
    ]
    assert not missing

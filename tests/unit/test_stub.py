"""`_core.pyi`, which type checkers read, against `_core`, which runs."""

from __future__ import annotations

import ast
import enum
import inspect
from types import ModuleType

import pytest

from smddp import _core

from support.jobs import REPOSITORY

STUB = ast.parse((REPOSITORY / "smddp" / "_core.pyi").read_text(encoding="utf-8"))
#: What pybind11 and Python put into every enumeration and class.
ENUM_EXTRAS = {"name", "value"}


def names(body: list[ast.stmt]) -> set[str]:
    """What these statements define."""
    found = set()
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def public(thing: object) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")}


CLASSES = [node for node in STUB.body if isinstance(node, ast.ClassDef)]


def test_module_has_the_same_names() -> None:
    assert isinstance(_core, ModuleType)
    assert public(_core) == {name for name in names(STUB.body) if not name.startswith("_")}


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_class_has_the_same_members(node: ast.ClassDef) -> None:
    cls = getattr(_core, node.name)
    extras = ENUM_EXTRAS if hasattr(cls, "__members__") and not issubclass(cls, enum.Enum) else set()
    assert public(cls) - extras == {name for name in names(node.body) if not name.startswith("_")}


def parameters(node: ast.FunctionDef) -> list[str]:
    return [each.arg for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]


FUNCTIONS = [
    (owner, node)
    for owner, body in [("", STUB.body), *((node.name, node.body) for node in CLASSES)]
    for node in body
    if isinstance(node, ast.FunctionDef) and not any(getattr(d, "id", "") == "property" for d in node.decorator_list)
]


@pytest.mark.parametrize(("owner", "node"), FUNCTIONS, ids=lambda each: getattr(each, "name", each))
def test_functions_have_the_same_parameters(owner: str, node: ast.FunctionDef) -> None:
    function = getattr(getattr(_core, owner) if owner else _core, node.name)
    # pybind11 writes the signature into the first line of the documentation.
    signature = inspect.getdoc(function)
    assert signature is not None
    for name in parameters(node):
        assert f"{name}:" in signature.splitlines()[0], f"{node.name}: {name} is not in {signature.splitlines()[0]}"

"""The cases of the folder `cases`, in worlds of several sizes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from integration.compat.conftest import RunCase

#: Above the pool's own deadlines, which tell more: to start a world, then to run a case.
pytestmark = pytest.mark.timeout(200)


def cases(module: str) -> list[str]:
    """Names of the module's functions `(rank, size)`, without importing it (and torch with it) here."""
    tree = ast.parse((Path(__file__).parent / "cases" / f"{module}.py").read_text(encoding="utf-8"))
    return [
        f"{module}:{node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and [a.arg for a in node.args.args] == ["rank", "size"]
    ]


VALUES = [*cases("collectives"), *cases("native"), *cases("ddp_training"), *cases("ddp_errors")]
CONTROL_FLOW = [*cases("ddp_graphs"), *cases("ddp_layouts")]
ON_SEVERAL_RANKS = {*VALUES, *CONTROL_FLOW}


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("case", VALUES)
def test_values(case: str, size: int, run_case: RunCase) -> None:
    run_case(size, case)


@pytest.mark.parametrize("case", CONTROL_FLOW)
def test_control_flow(case: str, run_case: RunCase) -> None:
    run_case(3, case)


@pytest.mark.parametrize(
    "case", [*cases("collectives"), *cases("native"), "ddp_graphs:no_sync", "ddp_training:parity_float64"]
)
def test_world_of_one(case: str, run_case: RunCase) -> None:
    run_case(1, case)

"""What torch builds on its backends: the same steps with smddp and with gloo, on the same ranks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from integration.torch.layers.conftest import Outcome

#: The first case of a module waits for all of them.
pytestmark = pytest.mark.timeout(150)

#: Two ranks have one order of summation, so bits are compared; four are two hosts, joined by tcp.
ANY = ([2], [2, 2])
TWO = ([2],)
FOUR = ([2, 2],)

MODULES = {
    "both:ddp": ANY,
    "both:ddp_hooks": ANY,
    "both:sharded": ANY,
    "both:tensors": ANY,
    "both:checkpoint": ANY,
    "both:pipeline": ANY,
    "both:objects": ANY,
    "both:compiled": TWO,
    "both:groups": FOUR,
    "both:work": TWO,
    "both:batch_norm": TWO,
    "alone:side_by_side": ANY,
    "alone:lifetime": TWO,
    "alone:data_loader": TWO,
}


def cases(module: str) -> list[str]:
    """Names of the module's functions `(job)`, without importing it (and torch with it) here."""
    path = Path(__file__).parent / "cases" / f"{module.partition(':')[2]}.py"
    functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    return [node.name for node in functions if [argument.arg for argument in node.args.args] == ["job"]]


SHAPES = [(module, case, hosts) for module, worlds in MODULES.items() for hosts in worlds for case in cases(module)]


@pytest.mark.parametrize(("module", "case", "hosts"), SHAPES, ids=str)
def test_case(module: str, case: str, hosts: list[int], outcome: Outcome) -> None:
    outcome(module, case, hosts)

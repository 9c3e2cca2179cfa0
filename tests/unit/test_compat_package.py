"""The old import paths: present, complete, thin, and independent of frameworks and of import order."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

from support.jobs import REPOSITORY, run_job

COMPAT = REPOSITORY / "smddp" / "compat"
pytestmark = pytest.mark.timeout(120)  # fresh interpreters that load torch

OLD_MODULES = [
    "smddpcommon",
    "smdistributed.dataparallel",
    "smdistributed.dataparallel.exceptions",
    "smdistributed.dataparallel.torch",
    "smdistributed.dataparallel.torch.distributed",
    "smdistributed.dataparallel.torch.parallel",
    "smdistributed.dataparallel.torch.parallel.distributed",
    "smdistributed.dataparallel.torch.torch_smddp",
]


def run_python(code: str, **env: str) -> str:
    """Run code in a fresh interpreter that treats warnings as errors; returns what it printed."""
    return run_job([sys.executable, "-W", "error", "-c", code], timeout=100, env=env).check().stdout


def test_every_old_package_ships_under_its_own_name() -> None:
    """In the wheel and in an editable installation, both made from this table."""
    tomllib = pytest.importorskip("tomllib", reason="Python before 3.11 reads no TOML")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packages = dict(project["tool"]["scikit-build"]["wheel"]["packages"])
    assert packages.pop("smddp") == "smddp"
    assert packages == {path.name: f"smddp/compat/{path.name}" for path in COMPAT.iterdir() if path.is_dir()}


def test_smdistributed_is_found_as_a_namespace_package() -> None:
    spec = importlib.util.find_spec("smdistributed")
    assert spec is not None
    assert spec.origin is None
    assert not (COMPAT / "smdistributed" / "__init__.py").exists()


def test_another_distribution_may_add_to_the_namespace(tmp_path: Path) -> None:
    (tmp_path / "smdistributed" / "modelparallel").mkdir(parents=True)
    (tmp_path / "smdistributed" / "modelparallel" / "__init__.py").write_text("found = True\n")
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "import smdistributed.dataparallel, smdistributed.modelparallel as other\n"
        "print(other.found)"
    )
    assert run_python(code) == "True\n"


def test_package_and_exceptions_load_without_any_framework() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'tensorflow', 'numpy'], None))\n"
        "import smdistributed.dataparallel as sdp, smdistributed.dataparallel.exceptions as exceptions\n"
        "import smddp, smddpcommon\n"
        "smddpcommon.setBucketSize(1 << 20)\n"
        "assert sdp.__version__ == smddp.__version__\n"
        "first = sdp._get_id_for_herring_task()\n"
        "assert sdp._get_id_for_herring_task() == first + 1\n"
        "print(sorted(n for n in dir(exceptions) if isinstance(getattr(exceptions, n), type)))"
    )
    names = ast.literal_eval(run_python(code))
    assert {"SMDDPError", "SMDDPNCCLError", "SMDDPTimeoutError"} <= set(names)


def test_exceptions_module_holds_exactly_the_exceptions() -> None:
    import smddp.errors
    from smdistributed.dataparallel import exceptions

    classes = {name: value for name, value in vars(exceptions).items() if inspect.isclass(value)}
    assert set(classes) == set(exceptions.__all__) == set(smddp.errors.__all__)
    assert all(value is getattr(smddp.errors, name) for name, value in classes.items())
    assert all(issubclass(value, exceptions.SMDDPError) for value in classes.values())


def test_uncaught_exception_is_found_the_way_launchers_look_for_it() -> None:
    code = "from smdistributed.dataparallel.exceptions import SMDDPError; raise SMDDPError('rank 3: gone')"
    job = run_job([sys.executable, "-c", code], timeout=100)
    assert job.returncode == 1
    last = job.stderr.strip().splitlines()[-1]
    assert "SMDDPError: rank 3: gone" in last


@pytest.mark.parametrize("path", sorted(COMPAT.rglob("*.py")), ids=lambda path: str(path.relative_to(COMPAT)))
def test_old_modules_only_pass_names_on(path: Path) -> None:
    """No logic, and so no second copy of state: a docstring, imports, and `__all__`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_all = isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.unparse(node)
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        assert is_docstring or is_all or is_import, f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("name", OLD_MODULES)
def test_each_old_module_has_what_it_lists(name: str) -> None:
    module = importlib.import_module(name)
    assert all(hasattr(module, listed) for listed in module.__all__)


@pytest.mark.parametrize(
    "imports",
    [
        "import torch, torch.distributed\nimport smdistributed.dataparallel.torch.torch_smddp",
        "import smdistributed.dataparallel.torch.torch_smddp\nimport torch, torch.distributed",
        "import smddp.torch\nimport smdistributed.dataparallel.torch.torch_smddp",
    ],
)
def test_backend_is_registered_whatever_the_order(imports: str) -> None:
    code = f"{imports}\nimport torch.distributed\nprint('smddp' in torch.distributed.Backend.backend_list)"
    assert run_python(code) == "True\n"

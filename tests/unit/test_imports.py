"""Importing is free of effects: nothing heavy is loaded, no thread starts, no socket opens, nothing is printed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.jobs import run_job

pytestmark = pytest.mark.timeout(120)  # fresh interpreters, some of which load torch

#: Prints what the process has beyond what it had before the statement ran.
PROBE = """
import json, os, sys

def sockets():
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + entry)
        except OSError:
            continue
        if target.startswith(("socket:", "anon_inode:", "/memfd:")):
            found.append(target)
    return found

{before}
threads, modules = len(os.listdir("/proc/self/task")), set(sys.modules)
descriptors, environment = sockets(), dict(os.environ)
{statement}
print(json.dumps({{
    "threads": len(os.listdir("/proc/self/task")) - threads,
    "descriptors": [name for name in sockets() if name not in descriptors],
    "modules": sorted(set(sys.modules) - modules),
    "environment": dict(os.environ) == environment,
}}))
"""


def probe(statement: str, before: str = "") -> dict[str, object]:
    code = PROBE.format(statement=statement, before=before)
    job = run_job([sys.executable, "-W", "error", "-c", code], timeout=100).check()
    assert job.stderr == ""
    assert job.stdout.count("\n") == 1, job.stdout
    found: dict[str, object] = json.loads(job.stdout)
    return found


def heavy(modules: object) -> list[str]:
    assert isinstance(modules, list)
    return [name for name in modules if name.split(".")[0] in ("numpy", "torch", "tensorflow") or name == "smddp._core"]


@pytest.mark.parametrize(
    "module",
    [
        "smddp",
        "smddp.errors",
        "smddp.config",
        "smddp.identity",
        "smddp.launch",
        "smddp.launch.mprun",
        "smddp.launch.run",
        "smddp.tools.cli",
        "smddp.topology",
        "smddpcommon",
        "smdistributed.dataparallel",
        "smdistributed.dataparallel.exceptions",
    ],
)
def test_light_modules(module: str) -> None:
    found = probe(f"import {module}")
    assert heavy(found["modules"]) == []
    assert (found["threads"], found["descriptors"], found["environment"]) == (0, [], True)


def test_public_names_need_no_framework() -> None:
    # NumPy's linear algebra brings threads of its own.
    found = probe("import smddp; smddp.init, smddp.Communicator, smddp.__version__", before="import numpy")
    assert [name for name in heavy(found["modules"]) if name.startswith(("torch", "tensorflow"))] == []
    assert (found["threads"], found["descriptors"]) == (0, [])


@pytest.mark.parametrize("module", ["smddp.torch", "smdistributed.dataparallel.torch.torch_smddp"])
def test_torch_adapter_only_registers(module: str) -> None:
    # What torch itself starts when it is imported is not ours. (The environment changes on purpose: env:// reads it.)
    found = probe(
        f"import {module}; assert torch.distributed.is_backend_available('smddp')",
        before="import torch, torch.distributed",
    )
    assert (found["threads"], found["descriptors"]) == (0, [])


@pytest.mark.parametrize("statement", ["import smddp; smddp.init; smddp.shutdown()", "import smddp.torch"])
def test_unused_interpreters_end_well(statement: str) -> None:
    job = subprocess.run(
        [sys.executable, "-W", "error", "-c", statement], timeout=100, capture_output=True, text=True, check=False
    )
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")


def test_dir_and_unknown_names() -> None:
    import smddp

    with pytest.raises(AttributeError, match="no attribute 'communicator'"):
        smddp.communicator  # noqa: B018
    assert set(smddp.__all__) >= {"init", "shutdown", "is_initialized", "get_communicator", "Communicator"}

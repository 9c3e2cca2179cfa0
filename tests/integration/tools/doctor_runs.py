"""Running the doctor on this machine, spoilt in some way."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.jobs import BIN

__all__ = [
    "SMDDP",
    "Examined",
    "Spoilt",
    "clone_environment",
    "fake_distribution",
    "fake_program",
    "limit",
    "run_doctor",
]

SMDDP = (str(BIN / "smddp"),) if (BIN / "smddp").exists() else (sys.executable, "-m", "smddp.tools")
SECONDS = 100


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """What is different from a good run: variables, words after ``doctor``, limits, and the command itself."""

    env: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()
    before: Callable[[], object] | None = None
    command: Sequence[str] = SMDDP


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What the doctor said: its findings, and its exit code."""

    code: int
    findings: list[dict[str, Any]]
    report: dict[str, Any]

    def of(self, check: str) -> list[dict[str, Any]]:
        return [one for one in self.findings if one["check"] == check]


def run_doctor(spoilt: Spoilt = Spoilt(), *, enter: Sequence[str] = ()) -> Examined:
    """Run it as users do, with JSON for an answer; AssertionError if it could not do its work."""
    env = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "LD_LIBRARY_PATH")}
    done = subprocess.run(
        [*enter, *spoilt.command, "doctor", "--json", "--quick", *spoilt.words],
        env={**env, **spoilt.env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        preexec_fn=spoilt.before,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    return Examined(code=done.returncode, findings=report["findings"], report=report)


def limit(which: int, soft: int) -> Callable[[], object]:
    """Return what lowers a limit of the process that calls it."""
    return lambda: resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))


def fake_distribution(folder: Path, name: str, version: str) -> str:
    """Make it look as if a distribution were installed in `folder`; returns the folder."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    return str(folder)


def fake_program(folder: Path, name: str, script: str) -> str:
    """Put a shell script on a PATH that begins with `folder`; returns that PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def clone_environment(folder: Path) -> list[str]:
    """Make a Python environment with the packages of this one and no programs; returns the command of smddp there."""
    prefix = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(Path(sys.executable).resolve())
    (folder / "lib").symlink_to(prefix / "lib")
    if (prefix / "pyvenv.cfg").exists():
        shutil.copy(prefix / "pyvenv.cfg", folder)
    return [str(folder / "bin/python"), "-m", "smddp.tools"]

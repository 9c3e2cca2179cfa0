"""From an entry point to the folder it runs in and the words that start it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smddp.errors import SMDDPArgumentError
from smddp.launch.training.paths import local_path

__all__ = ["EntryPoint", "find_entry_point"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A script and its folder."""

    directory: Path
    name: str

    def words(self, arguments: Sequence[str]) -> list[str]:
        """Return the command: Python for ``x.py``, ``-m`` beside a setup.py, else the shell."""
        if not self.name.endswith(".sh") and (self.directory / "setup.py").is_file():
            return [sys.executable, "-m", self.name.removesuffix(".py").replace("/", "."), *arguments]
        if self.name.endswith(".py"):
            return [sys.executable, self.name, *arguments]
        return ["/bin/sh", "-c", shlex.join([f"./{self.name}", *arguments])]


def find_entry_point(entry_point: object, source_dir: object) -> EntryPoint:
    """Return the script; without ``source_dir`` its own folder is the one it runs in.

    Raises:
        SMDDPArgumentError: there is no such folder or script, or the script is not inside the folder.
    """
    if not isinstance(entry_point, (str, os.PathLike)) or not os.fspath(entry_point):
        msg = f"entry_point must name a script, such as 'train.py', not {entry_point!r}"
        raise SMDDPArgumentError(msg)
    if source_dir is None:
        script = local_path(entry_point, "entry_point")
        directory, name = script.parent, script.name
    else:
        directory = local_path(source_dir, "source_dir")
        if not directory.is_dir():
            msg = f"source_dir: there is no folder {directory}"
            raise SMDDPArgumentError(msg)
        name = os.path.normpath(os.fspath(entry_point))
        if name.startswith(("/", "..", "-")):
            msg = f"entry_point {name!r} must be a path inside source_dir {directory}"
            raise SMDDPArgumentError(msg)
    if not (directory / name).exists() and not _is_package(directory, name):
        msg = f"entry_point: there is no {directory / name}"
        raise SMDDPArgumentError(msg)
    return EntryPoint(directory=directory, name=name)


def _is_package(directory: Path, name: str) -> bool:
    return (directory / "setup.py").is_file() and (directory / f"{name.removesuffix('.py')}.py").exists()

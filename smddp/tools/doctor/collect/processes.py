"""Processes of this host, as /proc shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smddp.tools.doctor.collect.files import read_text

__all__ = ["command_of", "name_of", "parent_of", "process_folders"]

_SHOWN_CHARACTERS = 60


def process_folders(root: Path = Path("/")) -> Iterator[Path]:
    """Yield the folder in /proc of each process."""
    for folder in sorted((root / "proc").iterdir()):
        if folder.name.isdecimal():
            yield folder


def command_of(folder: Path) -> str:
    """Return the command line, shortened."""
    text = read_text(folder / "cmdline").replace("\0", " ").strip() or name_of(folder)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def name_of(folder: Path) -> str:
    """Return the program's short name."""
    return read_text(folder / "comm")


def parent_of(folder: Path) -> int:
    """Return the parent's number; 0 if the process is gone."""
    # pid (command) state parent ...; the command itself may hold spaces and parentheses
    rest = read_text(folder / "stat").rpartition(")")[2].split()
    return int(rest[1]) if len(rest) > 1 else 0

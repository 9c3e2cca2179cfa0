"""TOML files that people write: their tables, with mistakes told by place and key."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from smddp.errors import SMDDPConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Table", "read_text", "read_toml"]


def read_text(path: Path) -> str:
    """What is in a file.

    Raises:
        SMDDPConfigError: it cannot be read, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not text in UTF-8"
        msg = f"cannot read {path}: {reason}"
        raise SMDDPConfigError(msg) from None


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text; raises ValueError."""
    tables: dict[str, Any] = tomllib.loads(text)
    return tables


class Table:
    """One table of a file; everything raises a ValueError that says where it is."""

    def __init__(self, entries: Mapping[str, Any], known: Sequence[str], where: str = "at the top") -> None:
        self._entries = entries
        self._where = where
        for key in entries:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self.refuse(f"unknown key {key!r}; {hint}")

    def refuse(self, problem: str) -> NoReturn:
        """Raise the ValueError for a mistake in this table."""
        msg = f"{self._where}: {problem}"
        raise ValueError(msg)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def _get(self, key: str, default: Any, kinds: tuple[type, ...], what: str) -> Any:
        if key not in self._entries and default is None:
            self.refuse(f"{key} is missing; it must be {what}")
        value = self._entries.get(key, default)
        if not isinstance(value, kinds) or isinstance(value, bool):
            self.refuse(f"{key} must be {what}, not {value!r}")
        return value

    def text(self, key: str, default: str | None) -> str:
        """A text; without a default it must be there, as all others."""
        return str(self._get(key, default, (str,), "a text"))

    def integer(self, key: str, default: int | None) -> int:
        """A whole number."""
        return int(self._get(key, default, (int,), "a whole number"))

    def number(self, key: str, default: float | None) -> float:
        """Any number."""
        return float(self._get(key, default, (int, float), "a number"))

    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self._get(key, list(default), (list,), "a list of whole numbers")
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            self.refuse(f"{key} must be a list of whole numbers, not {values!r}")
        return tuple(values)

    def named(self, key: str, names: Sequence[str], known: Sequence[str]) -> Iterator[tuple[str, Table]]:
        """The tables [key.NAME], each with its name."""
        entries = self._get(key, {}, (dict,), f"written as [{key}.NAME]")
        group = Table(entries, names, self._place(key))
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                group.refuse(f"{name} must be written as [{key}.{name}], not {entry!r}")
            yield name, Table(entry, known, f"{key}.{name}")

    def tables(self, key: str, known: Sequence[str]) -> Iterator[Table]:
        """The tables [[key]]."""
        entries = self._get(key, [], (list,), f"written as [[{key}]]")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                self.refuse(f"{key} must be written as [[{key}]], not {entries!r}")
            yield Table(entry, known, self._place(f"{key} {index}"))

    def _place(self, what: str) -> str:
        return what if self._where == "at the top" else f"{self._where}, {what}"

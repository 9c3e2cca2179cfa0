"""Reading small files of the kernel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["read_number", "read_text"]


def read_text(path: Path) -> str:
    """The file's text without surrounding space; "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """The number at the beginning of a file; None if there is none."""
    text = read_text(path).split()
    try:
        return int(text[0]) if text else None
    except ValueError:
        return None

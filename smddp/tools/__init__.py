"""Command-line tools around the library."""

from __future__ import annotations

__all__: list[str] = []

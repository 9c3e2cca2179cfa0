"""``smddp bench``: how fast the collectives are, and how fast they could be on this machine."""

from __future__ import annotations

__all__: list[str] = []

"""``smddp simulate``: a training step on hosts that are not there."""

from __future__ import annotations

__all__: list[str] = []

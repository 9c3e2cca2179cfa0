"""``smddp plan``: what the planner chooses between hosts, and why."""

from __future__ import annotations

__all__: list[str] = []

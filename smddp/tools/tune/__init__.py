"""``smddp tune``: measures what messages between hosts take, for the planner."""

from __future__ import annotations

__all__: list[str] = []

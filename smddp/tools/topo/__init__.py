"""``smddp topo``: what a job runs on."""

from __future__ import annotations

__all__: list[str] = []

"""Plans and training steps in virtual time. Nothing here is measured: docs/simulator.md says what it is worth."""

from __future__ import annotations

__all__: list[str] = []

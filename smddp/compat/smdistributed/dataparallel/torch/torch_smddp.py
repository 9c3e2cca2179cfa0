"""Importing this module registers backend "smddp" with torch.distributed."""

from __future__ import annotations

import smddp.torch  # noqa: F401 - the import is the effect

__all__: list[str] = []

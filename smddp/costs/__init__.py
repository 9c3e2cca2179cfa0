"""What messages between hosts take: values that somebody measured, files of them, and how they are fitted to times.

`smddp.costs.native` speaks with the engine; nothing here imports it.
"""

from __future__ import annotations

from smddp.costs.files import dumps, load
from smddp.costs.values import Costs

__all__ = ["Costs", "dumps", "load"]

"""`smdistributed.dataparallel.tensorflow`: see `smddp.tensorflow`."""

from __future__ import annotations

from smddp.tensorflow import *  # noqa: F403 - the same names
from smddp.tensorflow import __all__ as __all__

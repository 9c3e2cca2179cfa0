"""`smdistributed.dataparallel.tensorflow.keras`: see `smddp.tensorflow.keras`."""

from __future__ import annotations

from smddp.tensorflow.keras import *  # noqa: F403 - the same names
from smddp.tensorflow.keras import __all__ as __all__

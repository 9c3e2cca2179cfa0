"""`smddpcommon`: the original's native module, as far as scripts call it. See `smddp.legacy_native`."""

from __future__ import annotations

from smddp.legacy_native import FLOAT16 as herringFloat16
from smddp.legacy_native import FLOAT32 as herringFloat32
from smddp.legacy_native import all_reduce as allReduce
from smddp.legacy_native import set_bucket_size as setBucketSize
from smddp.legacy_native import wait

__all__ = ["allReduce", "herringFloat16", "herringFloat32", "setBucketSize", "wait"]

"""`smdistributed.dataparallel.tensorflow.keras.callbacks`: see `smddp.tensorflow.keras.callbacks`."""

from __future__ import annotations

from smddp.tensorflow.keras.callbacks import (
    BroadcastGlobalVariablesCallback,
    LearningRateWarmupCallback,
    MetricAverageCallback,
)

__all__ = ["BroadcastGlobalVariablesCallback", "LearningRateWarmupCallback", "MetricAverageCallback"]

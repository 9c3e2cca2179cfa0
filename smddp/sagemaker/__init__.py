"""For version 3 of the SageMaker Python SDK: `SMDataParallel`, a distributed runner for its ModelTrainer.

    from sagemaker.train import ModelTrainer
    from smddp.sagemaker import SMDataParallel

    ModelTrainer(..., distributed=SMDataParallel(custom_mpi_options="-verbose -x NCCL_DEBUG=VERSION"))

The SDK is imported when the class is first asked for, and need not be installed in the image that trains.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SMDataParallel"]


def __getattr__(name: str) -> Any:
    if name == "SMDataParallel":
        from smddp.sagemaker.config import SMDataParallel

        return SMDataParallel
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

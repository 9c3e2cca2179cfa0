"""Estimators of the SageMaker SDK, version 2, that both sides of a test make. Standard library only."""

from __future__ import annotations

from typing import Any

__all__ = ["CASES", "HYPERPARAMETERS"]

#: Values of each kind that JSON changes or keeps.
HYPERPARAMETERS: dict[str, Any] = {
    "lr": 0.1,
    "n": 3,
    "name": "a b",
    "layers": [1, 2],
    "flag": True,
    "none": None,
    "table": {"y": 1, "x": "z"},
    "digits": "007",
}

CASES: dict[str, dict[str, Any]] = {
    "pytorch": {
        "estimator": "PyTorch",
        "distribution": {
            "smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": "-verbose -x NCCL_DEBUG=VERSION"}}
        },
        "runner": "SMDataParallel",
        "ranks": 2,
    },
    "tensorflow": {
        "estimator": "TensorFlow",
        "distribution": {"smdistributed": {"dataparallel": {"enabled": True}}},
        "runner": "SMDataParallel",
        "ranks": 2,
    },
    "hugging-face": {
        "estimator": "HuggingFace",
        "distribution": {"pytorchddp": {"enabled": True}},
        "more": {"py_version": "py310"},
        "runner": "SMDataParallel",
        "ranks": 2,
    },
    "pytorchddp": {
        "estimator": "PyTorch",
        "distribution": {"pytorchddp": {"enabled": True}},
        "runner": "SMDataParallel",
        "ranks": 2,
    },
    "mpi": {
        "estimator": "PyTorch",
        "distribution": {"mpi": {"enabled": True, "processes_per_host": 3, "custom_mpi_options": "-verbose"}},
        "runner": "MPI",
        "ranks": 6,
    },
    "mpi-of-tensorflow": {
        "estimator": "TensorFlow",
        "distribution": {"mpi": {"enabled": True, "processes_per_host": 2}},
        "runner": "MPI",
        "ranks": 4,
    },
    "torch-distributed": {
        "estimator": "PyTorch",
        "distribution": {"torch_distributed": {"enabled": True}},
        "runner": "TorchDistributed",
        "ranks": 2,
    },
    "none": {"estimator": "PyTorch", "distribution": None, "runner": "Process", "ranks": 2},
}

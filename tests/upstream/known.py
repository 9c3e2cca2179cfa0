"""Tests that run but do not pass on smddp, and why. A test that is listed here and passes is an error, too."""

from __future__ import annotations

__all__ = ["KNOWN", "KNOWN_ON_GPUS"]

#: Reason by test.
KNOWN = {
    "test_ddp_logging_data_cpu": (
        "wants DDP's log to name the backend, where PyTorch writes 'custom' for all but its own"
    ),
}

#: The same of CUDA tensors, which tests/gpu runs.
KNOWN_ON_GPUS = {
    "test_batch_isend_irecv_nccl": "a rank sends to itself, which only NCCL has",
    "test_batch_isend_irecv_self_nccl": "a rank sends to itself, which only NCCL has",
}

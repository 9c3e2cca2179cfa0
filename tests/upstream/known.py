"""Tests that run but do not pass on smddp, and why. A test that is listed here and passes is an error, too."""

from __future__ import annotations

__all__ = ["KNOWN"]

#: Reason by test.
KNOWN = {
    "test_ddp_logging_data_cpu": (
        "wants DDP's log to name the backend, where PyTorch writes 'custom' for all but its own"
    ),
}

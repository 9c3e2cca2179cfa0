"""What a rank tells the test: one file in its own host's output folder."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

__all__ = ["place", "write_report"]

NAMES = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("SMDATAPARALLEL_WORLD_RANK", "SMDATAPARALLEL_WORLD_SIZE", "SMDATAPARALLEL_LOCAL_RANK"),
    *("NCCL_DEBUG", "FI_PROVIDER", "FI_EFA_USE_DEVICE_RDMA", "SAGEMAKER_INSTANCE_TYPE", "SM_CURRENT_HOST"),
)


def place() -> dict[str, str]:
    """The variables that say where this rank is and how it was started."""
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def write_report(rank: int, **facts: object) -> None:
    """Write the facts, and the name of the host as this process sees it."""
    # The kernel's name: the toolkit makes gethostname() answer what SageMaker calls the host.
    report = {"rank": rank, "host": os.uname().nodename, "named": socket.gethostname(), **facts}
    folder = Path(os.environ["SM_OUTPUT_DATA_DIR"])
    (folder / f"rank-{rank}.json").write_text(json.dumps(report))

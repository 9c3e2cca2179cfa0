"""`SMDataParallel`; importing this module imports the SageMaker SDK."""

from __future__ import annotations

import shlex
from pathlib import Path

from smddp.launch.distribution import parse_distribution

try:
    from pydantic import field_validator  # type: ignore[import-not-found]
    from sagemaker.train.distributed import DistributedConfig  # type: ignore[import-not-found]
except ImportError as error:
    msg = f"smddp.sagemaker needs version 3 of the SageMaker Python SDK: pip install 'sagemaker>=3' ({error})"
    raise ImportError(msg) from error

__all__ = ["SMDataParallel"]


class SMDataParallel(DistributedConfig):  # type: ignore[misc]
    """Starts the ranks of all hosts with one mpirun and smddprun in front of each, as the SDK's version 2 did.

    The image must hold smddp, mpi4py, Open MPI 4.1 and sshd.

    Args:
        process_count_per_node: ranks on each host; default: the number of GPUs, else 1.
        custom_mpi_options: for mpirun, in one string, quoted as in a shell.
    """

    process_count_per_node: int | None = None
    custom_mpi_options: str = ""

    @field_validator("custom_mpi_options")  # type: ignore[untyped-decorator]
    @classmethod
    def _check_options(cls, value: str) -> str:
        parse_distribution({"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": value}}})
        # The SDK's scripts pass the fields on between single quotes.
        words = shlex.split(value)
        if any("'" in word for word in words):
            msg = "custom_mpi_options: the SDK cannot pass on a single quote inside a value"
            raise ValueError(msg)
        return value if "'" not in value else " ".join(map(_double_quoted, words))

    @field_validator("process_count_per_node")  # type: ignore[untyped-decorator]
    @classmethod
    def _check_count(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            msg = f"process_count_per_node must be at least 1, not {value}"
            raise ValueError(msg)
        return value

    @property
    def driver_dir(self) -> str:
        """Folder whose files the SDK puts beside its own drivers."""
        return str(Path(__file__).parent / "driver")

    @property
    def driver_script(self) -> str:
        """The one that runs on every host."""
        return "smdataparallel_driver.py"


def _double_quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""The settings in the form that the native engine takes."""

from __future__ import annotations

import functools
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from smddp.cuda import kernels_path, nccl_paths
from smddp.errors import SMDDPConfigError

if TYPE_CHECKING:
    from smddp import _core
    from smddp.config import Settings

__all__ = ["fill_native", "to_native"]

NativeConfig = TypeVar("NativeConfig")
_LONGEST_PROBLEM = 1000


def to_native(settings: Settings) -> _core.Config:
    """The settings in the form that the native engine takes."""
    from smddp import _core

    return fill_native(_core.Config(), settings)


def fill_native(config: NativeConfig, settings: Settings) -> NativeConfig:
    """Copies the settings into a native Config; `_core` and `_torch` have one each.

    Raises:
        SMDDPConfigError: SMDDP_TOPOLOGY means nothing, or its file has a mistake.
    """
    plain = (
        *("transport", "host_id", "job_secret", "listen_address", "socket_ifname", "order", "partials"),
        *("algorithm", "ofi_provider", "stripe_bytes", "tcp_congestion", "chunk_bytes", "log_level", "log_file"),
        *("gpu_collectives", "gpu_staging_bytes", "nccl_min_ctas", "nccl_max_ctas", "nccl_cta_policy"),
    )
    values = {field: getattr(settings, field) for field in plain}
    values["topology"] = _encoded_topology(settings.topology)
    values["costs"], values["costs_problem"] = _encoded_costs(settings.costs)
    values["nccl_paths"] = _nccl_paths(settings.nccl_library)
    values["gpu_kernels"] = _kernels_path(settings.gpu_kernels)
    values["move_apart"] = settings.move_apart == "on"
    values["gpu_open_tensors"] = settings.gpu_open_tensors == "on"
    for field in ("timeout", "slow_warning", "leave_grace"):
        values[field] = timedelta(seconds=getattr(settings, field))
    for field, value in values.items():
        setattr(config, field, value)
    return config


def _encoded_topology(text: str) -> bytes:
    """The bytes of the host that SMDDP_TOPOLOGY means; none if it is not set."""
    if not text:
        return b""
    from smddp.topology import resolve_host
    from smddp.topology.native import encode_host

    try:
        return encode_host(resolve_host(text))
    except SMDDPConfigError as problem:
        msg = f"SMDDP_TOPOLOGY: {problem}"
        raise SMDDPConfigError(msg) from None


# Packages are searched once, not for each group.
_nccl_paths = functools.cache(nccl_paths)
_kernels_path = functools.cache(kernels_path)


@functools.cache  # all groups of a process plan with the same costs, whatever becomes of the file
def _encoded_costs(path: str) -> tuple[bytes, str]:
    """The bytes of the costs in the file, and why there are none; nothing at all if SMDDP_COSTS is not set.

    The problem goes to the meeting of the ranks, because the others would wait for a rank that fails before.
    """
    if not path:
        return b"", ""
    from smddp.costs import load
    from smddp.costs.native import encode_costs

    try:
        return encode_costs(load(Path(path))), ""
    except SMDDPConfigError as problem:
        return b"", textwrap.shorten(str(problem), _LONGEST_PROBLEM)

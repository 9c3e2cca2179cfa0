"""What this machine has for CUDA tensors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["kernels_path", "nccl_paths"]

_LIBRARY = Path("nccl", "lib", "libnccl.so.2")


def nccl_paths(wanted: str = "") -> list[str]:
    """Where to look for libnccl.so.2, the first place first.

    Args:
        wanted: a path that goes before all others, if it is not empty.

    Returns:
        That path, and each that NVIDIA's wheels (nvidia-nccl-cu13) brought to this environment.
    """
    first = [wanted] if wanted else []
    nvidia = importlib.util.find_spec("nvidia")
    if nvidia is None or nvidia.submodule_search_locations is None:
        return first
    places = (Path(folder) / _LIBRARY for folder in nvidia.submodule_search_locations)
    return first + [str(place) for place in places if place.is_file()]


def kernels_path(wanted: str = "") -> str:
    """Where the shared object with our kernels lies.

    Args:
        wanted: a path that goes before smddp's own, if it is not empty.

    Returns:
        That path, or smddp's own; an empty text where smddp was built without kernels.
    """
    if wanted:
        return wanted
    core = importlib.util.find_spec("smddp._core")
    if core is None or core.origin is None:
        return ""
    built = Path(core.origin).with_name("lib") / "libsmddp_kernels.so"
    return str(built) if built.is_file() else ""

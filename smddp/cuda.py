"""What this machine has for CUDA tensors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["nccl_paths"]

_LIBRARY = Path("nccl", "lib", "libnccl.so.2")


def nccl_paths() -> list[str]:
    """Return the path of each libnccl.so.2 that NVIDIA's wheels (nvidia-nccl-cu13) brought to this environment."""
    nvidia = importlib.util.find_spec("nvidia")
    if nvidia is None or nvidia.submodule_search_locations is None:
        return []
    places = (Path(folder) / _LIBRARY for folder in nvidia.submodule_search_locations)
    return [str(place) for place in places if place.is_file()]

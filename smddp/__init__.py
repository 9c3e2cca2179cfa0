"""smddp: data-parallel communication, a drop-in for ``smdistributed.dataparallel``.

Framework-free use, on NumPy arrays::

    import smddp

    comm = smddp.init()
    comm.all_reduce(array, op="average")
    smddp.shutdown()

With PyTorch: ``import smddp.torch`` registers the backend ``"smddp"`` of torch.distributed. Importing this package
loads nothing native, starts no thread and opens no socket; that happens in ``init``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smddp.collectives import Communicator, Work
    from smddp.registered import empty_registered
    from smddp.runtime import get_communicator, init, is_initialized, shutdown

__all__ = [
    "Communicator",
    "Work",
    "__version__",
    "empty_registered",
    "get_communicator",
    "init",
    "is_initialized",
    "shutdown",
]

__version__: str

_HOMES = {
    "Communicator": "smddp.collectives",
    "Work": "smddp.collectives",
    "empty_registered": "smddp.registered",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the launcher and the exceptions must not wait for NumPy and the native engine.
    if name == "__version__":
        return import_module("importlib.metadata").version("smddp")
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "smddp.runtime")), name)
    msg = f"module 'smddp' has no attribute {name!r}"
    raise AttributeError(msg)

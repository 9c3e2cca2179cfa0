"""What the ranks of fault cases share: joining the world, one way for each interface, and telling what they met."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import numpy as np

import smddp
from smddp.errors import SMDDPError

__all__ = ["join", "join_numpy", "join_torch", "say", "telling"]


def say(line: str) -> None:
    """Print a line at once: the test waits for it. In one piece, as a forked child prints to the same place."""
    sys.stdout.flush()
    os.write(1, f"{line}\n".encode())


def join_numpy(timeout: float) -> smddp.Communicator:
    """The framework-free world; all ranks have met and exchanged something."""
    communicator = smddp.init(timeout=timeout)
    communicator.all_reduce(np.ones(3))
    say(f"joined at {time.monotonic()}")
    return communicator


def join_torch(timeout: float) -> None:
    """The same for torch.distributed."""
    import torch
    import torch.distributed as dist

    import smddp.torch  # noqa: F401 (registers the backend)

    torch.set_num_threads(1)
    dist.init_process_group("smddp", timeout=timedelta(seconds=timeout))
    dist.all_reduce(torch.ones(3))
    say(f"joined at {time.monotonic()}")


def join(interface: str, timeout: float) -> None:
    """Join through "torch" or "numpy"."""
    join_torch(timeout) if interface == "torch" else join_numpy(timeout)


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Print which exception leaves the block, with its base classes, and let it go on."""
    try:
        yield
    except SMDDPError as error:
        say(f"raised {' '.join(cls.__name__ for cls in type(error).__mro__)} at {time.monotonic()}")
        raise
    except BaseException as error:
        print(f"not an SMDDPError: {error!r}", file=sys.stderr)
        raise

"""What ranks do in the tests of costs."""

from __future__ import annotations

import sys

import numpy as np

import smddp
from smddp.tools.cli import main

__all__ = ["add", "command", "meet_as_torch"]


def add(count: str) -> None:
    """Meet, and add arrays."""
    world = smddp.init(timeout=20)
    array = np.full(int(count), world.rank + 1, "int32")
    world.all_reduce(array)
    assert (array == sum(range(1, world.size + 1))).all()
    smddp.shutdown()


def meet_as_torch() -> None:
    """Meet through torch."""
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    import smddp.torch  # noqa: F401 (registers the backend)

    dist.init_process_group("smddp", timeout=timedelta(seconds=20))
    tensor = torch.ones(3)
    dist.all_reduce(tensor)
    dist.destroy_process_group()


def command(*words: str) -> None:
    """The smddp command with these words."""
    sys.exit(main(words))

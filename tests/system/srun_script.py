"""A user's script under srun: nothing in it, nor in front of it, knows of Slurm."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

import smddp

world = smddp.init(timeout=60)
ranks = range(1, world.size + 1)
array = np.arange(10_001, dtype=np.float64) * (world.rank + 1)
world.all_reduce(array)
np.testing.assert_array_equal(array, np.arange(10_001, dtype=np.float64) * sum(ranks))
if sys.argv[1:] == [str(world.rank)]:
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1:]:
    world.all_reduce(array)
place = f"{world.rank} {world.size} {world.local_rank} {world.local_size}"
os.write(1, f"{place} {os.uname().nodename} {world.transport}\n".encode())  # one write: lines do not mix
smddp.shutdown()

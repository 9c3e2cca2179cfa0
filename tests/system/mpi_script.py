"""A user's script in an MPI job: MPI itself says whether smddp computed the right thing."""

from __future__ import annotations

import os

import numpy as np
from mpi4py import MPI

import smddp

mpi = MPI.COMM_WORLD
world = smddp.init(timeout=60)
assert (world.rank, world.size) == (mpi.rank, mpi.size)
assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == (str(mpi.rank), str(mpi.size))
brought = np.arange(10_001, dtype=np.float64) * (world.rank + 1)
expected = np.empty_like(brought)
mpi.Allreduce(brought, expected)
world.all_reduce(brought)
np.testing.assert_array_equal(brought, expected)
smddp.shutdown()
os.write(1, f"passed with {MPI.Get_library_version().split()[0]}\n".encode())  # one write: lines do not mix

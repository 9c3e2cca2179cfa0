"""Sum NumPy arrays over all ranks; no framework needed.

Run it alone, or on several ranks:

    python examples/01_allreduce_numpy.py
    smddprun -np 4 python examples/01_allreduce_numpy.py
    torchrun --nproc-per-node 4 examples/01_allreduce_numpy.py
"""

from __future__ import annotations

import numpy as np

import smddp


def main() -> None:
    comm = smddp.init()  # a world of one when nothing launched us

    # Every rank contributes its own values; all_reduce replaces them by the sum over the ranks.
    values = np.arange(5, dtype=np.float64) + 10 * comm.rank
    comm.all_reduce(values, op="sum")

    expected = comm.size * np.arange(5) + 10 * sum(range(comm.size))
    if not np.array_equal(values, expected):
        message = f"rank {comm.rank} got {values}, expected {expected}"
        raise SystemExit(message)

    comm.barrier()
    if comm.rank == 0:
        print(f"sum over {comm.size} {'rank' if comm.size == 1 else 'ranks'}: {values.tolist()}")
    smddp.shutdown()


if __name__ == "__main__":
    main()

"""Starting jobs: ``smddprun`` in front of a program, as a rank's wrapper or as the launcher itself.

Read `run` first: it decides between the two. Pure parts: `hosts`, `options`, `mpirun`, `plan`, `rank_env`,
`dry_run`; effects (files, sockets, exec) are in `machine` and `run`. Nothing here imports the native library,
NumPy or a framework, since every rank of every job passes through it.
"""

from __future__ import annotations

__all__: list[str] = []

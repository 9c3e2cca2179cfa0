"""Starting jobs: ``smddprun`` in front of a program, as a rank's wrapper or as the launcher itself.

Read `run` first: it decides between the two (`mprun`, for ``smddpmprun``, only wraps). The launcher is `launcher`,
which needs `options` and `machine` (files, sockets, other programs), decides by `compose`, and ends in `process`
(exec). The wrapper is `program`; `rank_env` fills in what a rank's program reads. Pure: `spec` (the values in
between), `hosts`, `compose`, `mpirun`, `dry_run`, `ports`, and `options` but for the host file.

Nothing here imports the native library, NumPy or a framework, since every rank of every job passes through it.
"""

from __future__ import annotations

__all__: list[str] = []

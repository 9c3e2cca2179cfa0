"""Starting jobs: ``smddprun`` in front of a program, as a rank's wrapper or as the launcher itself; and `Job`.

Read `run` first: it decides between the two (`mprun`, for ``smddpmprun``, only wraps). The launcher is `launcher`,
which needs `options` and `machine` (files, sockets, other programs), decides by `compose`, and sees the job through by
`supervision`, with `rank` in front of each program. The wrapper in other launchers' ranks is `program`; `rank_env`
fills in what a rank's program reads. Pure: `spec` (the values in between), `hosts`, `compose`, `mpirun`, `dry_run`,
`ports`, and `options` but for the host file.

`job` describes a training job as the SageMaker SDK does and runs smddprun for it; `estimator` has the SDK's names,
`distribution` its dictionary, `job_file` the same from a file, `training` what the script finds around it.

Nothing here imports the native library, NumPy or a framework, since every rank of every job passes through it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Job", "JobFailedError"]


def __getattr__(name: str) -> Any:
    # Ranks pass through this package and need no job.
    if name == "Job":
        from smddp.launch.job import Job

        return Job
    if name == "JobFailedError":
        from smddp.launch.training.run import JobFailedError

        return JobFailedError
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

"""The session directory of Open MPI: where its mpirun keeps its own files while a job runs.

mpirun names them after its process number and leaves them when it is killed. Open MPI 5 then fails to start, with
exit code 213, when a later one gets the same number. A folder for each job keeps them apart, and goes with the job.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smddp.errors import SMDDPConfigError
from smddp.launch.spec import Dialect, LaunchSpec

__all__ = ["remove_session_folder", "session_folder"]

#: Read by mpirun alone: its daemons on other hosts have a setting of their own.
_VARIABLES = {
    Dialect.OPEN_MPI_4: "OMPI_MCA_orte_local_tmpdir_base",
    Dialect.OPEN_MPI_5: "PRTE_MCA_prte_local_tmpdir_base",
}
#: mpirun refuses two settings of one kind.
_USERS_OWN = "tmpdir_base"


@contextlib.contextmanager
def session_folder(spec: LaunchSpec, env: dict[str, str]) -> Iterator[Path | None]:
    """Make the folder and name it in mpirun's environment; None where mpirun needs none or the user has named one.

    Raises:
        SMDDPConfigError: it cannot be made.
    """
    variable = _VARIABLES.get(spec.dialect)
    if variable is None or any(_USERS_OWN in word for word in (*spec.mpi_options, *env)):
        yield None
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix="smddprun-"))
    except OSError as error:
        msg = f"cannot make a folder for mpirun's own files: {error}; set TMPDIR to one that can be written"
        raise SMDDPConfigError(msg) from error
    env[variable] = str(folder)
    try:
        yield folder
    finally:
        remove_session_folder(folder)


def remove_session_folder(folder: Path | None) -> None:
    """Remove it and what is in it, which mpirun may be removing, too."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)

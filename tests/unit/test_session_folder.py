"""The folder for mpirun's own files."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest

from smddp.errors import SMDDPConfigError
from smddp.launch.spec import Dialect, LaunchSpec
from smddp.launch.supervision.session_folder import session_folder

pytestmark = pytest.mark.timeout(60)

SPEC = LaunchSpec(
    mpirun="mpirun", dialect=Dialect.OPEN_MPI_5, process_count=2, program=("true",), rank_command=("smddprun",)
)


def test_is_named_to_mpirun_and_goes_with_what_is_in_it() -> None:
    env = {"A": "1"}
    with session_folder(SPEC, env) as folder:
        assert folder is not None
        assert env == {"A": "1", "PRTE_MCA_prte_local_tmpdir_base": str(folder)}
        (folder / "ompi.1").mkdir()
        (folder / "ompi.1" / "hwloc.sm").touch()
    assert not folder.exists()


def test_open_mpi_4_has_a_name_of_its_own_for_it() -> None:
    env: dict[str, str] = {}
    with session_folder(dataclasses.replace(SPEC, dialect=Dialect.OPEN_MPI_4), env) as folder:
        assert env == {"OMPI_MCA_orte_local_tmpdir_base": str(folder)}


@pytest.mark.parametrize(
    ("spec", "env"),
    [
        (dataclasses.replace(SPEC, dialect=Dialect.HYDRA), {}),
        (dataclasses.replace(SPEC, mpi_options=("--prtemca", "prte_tmpdir_base", "/scratch")), {}),
        (SPEC, {"PRTE_MCA_prte_local_tmpdir_base": "/scratch"}),
        (SPEC, {"OMPI_MCA_orte_tmpdir_base": "/scratch"}),
    ],
)
def test_is_not_made_where_it_would_be_in_the_way(spec: LaunchSpec, env: dict[str, str]) -> None:
    before = dict(env)
    with session_folder(spec, env) as folder:
        assert (folder, env) == (None, before)


def test_what_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with (
        pytest.raises(SMDDPConfigError, match=r"folder for mpirun's own files: .*nowhere.*; set TMPDIR"),
        session_folder(SPEC, {}),
    ):
        pytest.fail("went on without it")

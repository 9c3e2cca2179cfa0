from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from smddp.errors import SMDDPConfigError
from smddp.launch.machine import core_count, examine_machine, find_mpirun, find_program, free_port, is_own_address

pytestmark = pytest.mark.timeout(30)


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that passes for this Python's own."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def test_mpirun_of_the_own_environment_goes_before_path(own_folder: Path, tmp_path: Path) -> None:
    on_path = executable(tmp_path / "mpirun")
    env = {"PATH": str(tmp_path)}
    assert find_mpirun(None, env) == str(on_path)
    beside = executable(own_folder / "mpirun")
    assert find_mpirun(None, env) == str(beside)
    assert find_mpirun(str(on_path), env) == str(on_path)


def test_mpiexec_will_do(own_folder: Path, tmp_path: Path) -> None:
    on_path = executable(tmp_path / "mpiexec")
    assert find_mpirun(None, {"PATH": str(tmp_path)}) == str(on_path)


def test_no_mpirun(own_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SMDDPConfigError, match=r"mpirun is neither in .* nor on PATH: install"):
        find_mpirun(None, {"PATH": str(tmp_path)})
    with pytest.raises(SMDDPConfigError, match="--mpirun other: no such program"):
        find_mpirun("other", {"PATH": str(tmp_path)})


def test_strange_mpirun(tmp_path: Path) -> None:
    strange = executable(tmp_path / "mpirun", "#!/bin/sh\necho hello\n")
    with pytest.raises(SMDDPConfigError, match="says 'hello'"):
        examine_machine(str(strange), {})
    broken = executable(tmp_path / "broken", "#!/no/such/interpreter\n")
    with pytest.raises(SMDDPConfigError, match="cannot run"):
        examine_machine(str(broken), {})


def test_program_beside_python_is_found_last(own_folder: Path, tmp_path: Path) -> None:
    assert find_program("tool", str(tmp_path)) is None
    beside = executable(own_folder / "tool")
    assert find_program("tool", str(tmp_path)) == str(beside)
    on_path = executable(tmp_path / "tool")
    assert find_program("tool", str(tmp_path)) == str(on_path)


def test_two_threads_of_a_core_count_once(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    for cpu in usable:
        folder = tmp_path / f"cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text("0-99\n", encoding="ascii")
    assert core_count(tmp_path) == 1
    assert core_count(tmp_path / "missing") == len(usable)


def test_free_port_is_a_pair_nobody_listens_on() -> None:
    port = free_port()
    assert port % 2 == 0
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
        pass


def test_own_addresses() -> None:
    assert is_own_address("127.0.0.1")
    for text in ("192.0.2.1", "0.0.0.0", "localhost", "", "::1"):
        assert not is_own_address(text)

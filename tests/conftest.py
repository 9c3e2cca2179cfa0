"""What every Python test gets: a clean environment, and proof that nothing stays behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

#: Variables of launchers, of this library, and one of torch's that it sets. A test that wants one sets it itself.
LAUNCHER_PREFIXES = (
    "OMPI_",
    "PMIX_",
    "PMI_",
    "PRTE_",
    "SLURM_",
    "SMDATAPARALLEL_",
    "SMDDP_",
    "SM_",
    "TORCHELASTIC_",
)
LAUNCHER_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NCCL_DEBUG",
    "NCCL_DEBUG_FILE",
    "DDP_DISABLE_COMM_MEM",
)

# No deadline per example: the machine may be busy, and every test has a deadline of its own. A failure prints
# what reproduces the example.
hypothesis.settings.register_profile("smddp", deadline=None, print_blob=True, database=None)
hypothesis.settings.load_profile("smddp")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-slow", action="store_true", help="leave out the tests that are marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked slow, if so asked; -m "not slow" would select what pyproject.toml's -m leaves out."""
    if not config.getoption("without_slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every test start as a process that no launcher started."""
    for name in list(os.environ):
        if name in LAUNCHER_VARIABLES or name.startswith(LAUNCHER_PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def no_shared_memory_left() -> Iterator[None]:
    """Fail the run if it leaves a file of ours in /dev/shm, even after ranks were killed."""
    before = _our_shared_memory()
    yield
    left = sorted(_our_shared_memory() - before)
    assert not left, f"left in /dev/shm: {left}"


def _our_shared_memory() -> set[str]:
    shared_memory = Path("/dev/shm")
    return {path.name for path in shared_memory.glob("*smddp*")} if shared_memory.is_dir() else set()

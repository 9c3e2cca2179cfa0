from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netlab.lab import NAMESPACES, SECONDS, Lab, netlab
from support.netlab.spec import LabSpec
from support.seeds import seed, show_seed  # noqa: F401 - fixtures

TWO_HOSTS = LabSpec(hosts=2)


def why_not() -> str | None:
    """Why hosts cannot be made here, or None."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    missing = [program for program in ("ip", "tc", "unshare", "nsenter", "hostname") if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian packages iproute2, util-linux, hostname)"
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, text=True, timeout=SECONDS)
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture(scope="session")
def hosts_possible() -> None:
    """Skip with the reason where hosts cannot be made."""
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def hosts(hosts_possible: None) -> Iterator[Lab]:
    """Two hosts that the test has for itself."""
    with netlab(TWO_HOSTS) as hosts:
        yield hosts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a system test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)

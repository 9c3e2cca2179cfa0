from __future__ import annotations

import os
import sys

import pytest
from integration.launch.helpers import LAUNCHERS, REPORT, Launcher, clean_environment, smddprun_command

from smddp.launch.machine import examine_machine


@pytest.fixture(params=sorted(LAUNCHERS))
def launcher(request: pytest.FixtureRequest) -> Launcher:
    mpirun = LAUNCHERS[request.param]
    if mpirun is None:
        pytest.skip(f"no mpirun of this kind here: {request.param}")
    dialect = examine_machine(mpirun, os.environ).dialect
    return Launcher(mpirun=mpirun, dialect=dialect, smddprun=smddprun_command(), env=clean_environment())


@pytest.fixture
def report() -> tuple[str, ...]:
    """Return a program that prints its environment."""
    return (sys.executable, "-c", REPORT)

from __future__ import annotations

import pytest

from upstream.runs import Runs, run_all


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The suite on each backend and number of ranks; takes minutes."""
    return run_all(tmp_path_factory.mktemp("upstream"))

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.processes import Template

COMMON = "integration.faults.cases.common"


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """Forks ranks that have NumPy and smddp imported already."""
    template = Template(COMMON)
    yield template
    template.close()


@pytest.fixture(scope="session")
def torch_template() -> Iterator[Template]:
    """Forks ranks that have torch imported, too."""
    template = Template("torch", "torch.utils.data", "smddp.torch", COMMON)
    yield template
    template.close()

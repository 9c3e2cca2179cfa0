from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.processes import Template


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Forks ranks that have NumPy and smddp imported already."""
    template = Template("integration.costs.cases")
    yield template
    template.close()

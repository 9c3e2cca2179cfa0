from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netlab.lab import Lab, netlab, why_no_lab
from support.netlab.spec import LabSpec
from support.processes import Template
from support.seeds import seed, show_seed  # noqa: F401 - fixtures

TWO_HOSTS = LabSpec(hosts=2)
TRAINING = "integration.torch.cases.training"


@pytest.fixture(scope="session")
def hosts_possible() -> None:
    """Skip with the reason where hosts cannot be made."""
    if reason := why_no_lab():
        pytest.skip(reason)


@pytest.fixture
def hosts(hosts_possible: None) -> Iterator[Lab]:
    """Two hosts that the test has for itself."""
    with netlab(TWO_HOSTS) as hosts:
        yield hosts


@pytest.fixture(scope="session")
def torch_template() -> Iterator[Template]:
    """Forks ranks that have torch and the digits' training imported already."""
    template = Template("torch.nn.parallel", "sklearn.datasets", "smddp.torch", TRAINING, freeze=True)
    yield template
    template.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a system test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)

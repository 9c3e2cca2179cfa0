from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from integration.compat.pool import RankPool

RunCase = Callable[[int, str], list[object]]


@pytest.fixture(scope="session")
def _pools() -> Iterator[dict[int, RankPool]]:
    pools: dict[int, RankPool] = {}
    yield pools
    for pool in pools.values():
        pool.close()


@pytest.fixture
def run_case(_pools: dict[int, RankPool]) -> RunCase:
    """`run_case(size, "module:function")`: results of a case by rank, in a world of that size."""

    def run(size: int, case: str) -> list[object]:
        return _pools.setdefault(size, RankPool(size)).run(case)

    return run

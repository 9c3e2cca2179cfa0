from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from conformance.worlds import FABRICS, World

Key = tuple[str, int]


class Worlds:
    """The world that the tests share, one at a time: making them is what costs."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._world: World | None = None

    def get(self, fabric: str, size: int) -> World:
        if self._world is None or self._key != (fabric, size) or self._world.failed:
            self.close()
            self._key, self._world = (fabric, size), World(FABRICS[fabric], size)
        return self._world

    def close(self) -> None:
        if self._world is not None:
            self._world.close()
        self._world = None


@pytest.fixture(scope="session")
def worlds() -> Iterator[Worlds]:
    made = Worlds()
    yield made
    made.close()


@pytest.fixture(scope="session")
def seed() -> int:
    """Of all random values; shown with every failure. SMDDP_TEST_SEED repeats a run."""
    return int(os.environ.get("SMDDP_TEST_SEED") or secrets.randbits(32))


@pytest.fixture(autouse=True)
def _show_seed(seed: int) -> None:
    print(f"SMDDP_TEST_SEED={seed}")

"""Fixtures for tests with random values; a conftest imports them."""

from __future__ import annotations

import os
import secrets

import pytest

__all__ = ["seed", "show_seed"]


@pytest.fixture(scope="session")
def seed() -> int:
    """Of all random values; shown with every failure. SMDDP_TEST_SEED repeats a run."""
    return int(os.environ.get("SMDDP_TEST_SEED") or secrets.randbits(32))


@pytest.fixture(autouse=True)
def show_seed(seed: int) -> None:
    """Print the seed, which pytest shows with a failure."""
    print(f"SMDDP_TEST_SEED={seed}")

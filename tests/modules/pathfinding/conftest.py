"""A module to ask, for every test here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.modules.pathfinding.warming import warm_all
from tests.modules.pathfinding.bench import Bench


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Compiled before the first test: no deadline may meet that."""
    warm_all()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()

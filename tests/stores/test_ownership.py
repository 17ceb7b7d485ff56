"""Who owns a world among servers over one PostgreSQL: one of them, and the fence keeps the others from writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from sqlalchemy import delete

from app.core.clock import SystemClock
from app.core.errors import StoreDown, Unavailable
from app.stores import tables
from app.stores.checkpoints import Checkpoints, load_checkpoint
from app.stores.database import Database, open_database
from app.stores.events import Stream
from app.stores.journal import WorldJournal
from app.stores.ownership import Ownership
from app.stores.postgres_leases import PostgresLeases
from app.stores.tenancy import EVERY_TENANT
from app.stores.writer import Writer
from app.telemetry.metrics import Metrics
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.state import Worlds
from tests.stores.conftest import MIGRATIONS

LEASE_MS = 400


@dataclass
class Replica:
    """A server's stores without its edge."""

    database: Database
    writer: Writer
    journal: WorldJournal
    ownership: Ownership
    worlds: Worlds

    async def write(self, *ids: str) -> None:
        changes = [EntityUpserted(entity=Npc(id=id)) for id in ids]
        await asyncio.wait_for(self.journal.append("t", "w", changes), 5)

    def npcs(self) -> set[str]:
        return set(self.worlds.get("t", "w").state.npcs)

    async def vanish(self) -> None:
        """As a killed process: nothing is released."""
        task = self.ownership._renewing
        assert task is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def replica(url: str, folder: Path, name: str) -> AsyncIterator[Replica]:
    clock, log, worlds = SystemClock(), structlog.get_logger(), Worlds()
    database = open_database(url, folder=folder, migrations=MIGRATIONS)
    await database.upgrade()
    writer = Writer(
        database,
        clock=clock,
        log=log,
        metrics=Metrics(),
        queue_events_max=1000,
        batch_events_max=500,
        retry_ms=20,
        bridge_ms=2_000,
    )
    writer.start()
    checkpoints = Checkpoints(database, clock=clock, log=log, events_min=50, interval_ms=60_000, queue_events_max=1000)
    journal = WorldJournal(
        worlds=worlds, database=database, writer=writer, stream=Stream(), clock=clock, log=log,
        idempotency_keys_max=100, checkpoints=checkpoints, owner=name,
    )  # fmt: skip
    ownership = Ownership(
        name=name, alone=False, leases=PostgresLeases(database, clock=clock), database=database, journal=journal,
        worlds=worlds, clock=clock, log=log, lease_ms=LEASE_MS,
    )  # fmt: skip
    writer.lost = ownership.lost
    await ownership.start()
    try:
        yield Replica(database, writer, journal, ownership, worlds)
    finally:
        await writer.close(patience_s=1)
        await ownership.close()
        await database.close()


A, B, C = "http://a:1", "http://b:1", "http://c:1"


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    return postgres()


async def test_a_world_is_found_at_its_owner_while_that_lives(url: str, tmp_path: Path) -> None:
    async with replica(url, tmp_path, A) as a, replica(url, tmp_path, B) as b:
        await a.journal.create_world("t", "w")
        assert a.ownership.here("t", "w")
        assert not b.ownership.here("t", "w")
        await asyncio.sleep(2 * LEASE_MS / 1000)
        assert await b.ownership.find("t", "w") == A
        assert await b.ownership.find("t", "nowhere") == ""
        assert await b.ownership.all("t") == [("w", A)]


async def test_of_many_that_are_asked_one_takes_a_world_whose_owner_is_gone(url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        a, b, c = [await stack.enter_async_context(replica(url, tmp_path, name)) for name in (A, B, C)]
        await a.journal.create_world("t", "w")
        await a.write("one", "two")
        await a.vanish()
        await asyncio.sleep(LEASE_MS / 1000)
        found = await asyncio.gather(*(server.ownership.find("t", "w") for server in (b, c) for _ in range(20)))
        assert set(found) in ({"", B}, {"", C})
        taker = b if b.ownership.here("t", "w") else c
        assert taker.npcs() == {"one", "two"}
        await taker.write("three")
        assert [b.ownership.here("t", "w"), c.ownership.here("t", "w")].count(True) == 1


async def test_what_a_former_owner_still_wants_to_write_is_refused_and_it_forgets_the_world(
    url: str, tmp_path: Path
) -> None:
    async with replica(url, tmp_path, A) as a, replica(url, tmp_path, B) as b:
        await a.journal.create_world("t", "w")
        await a.journal.create_world("t", "mine")
        await a.vanish()
        await asyncio.sleep(LEASE_MS / 1000)
        assert await b.ownership.find("t", "w") == ""
        await b.write("new")
        other = a.journal.append("t", "mine", [EntityUpserted(entity=Npc(id="kept"))])
        refused, kept = await asyncio.gather(a.write("old"), other, return_exceptions=True)
        assert isinstance(refused, StoreDown)
        assert "moved to another server" in refused.message
        assert not isinstance(kept, BaseException), "the other world in the same commit is not held up"
        assert not a.worlds.has("t", "w")
        assert a.writer.fault == ""
        assert b.npcs() == {"new"}
        assert await a.ownership.find("t", "w") == B


async def test_an_owner_that_slept_past_its_lease_looks_before_it_serves(url: str, tmp_path: Path) -> None:
    async with replica(url, tmp_path, A) as a, replica(url, tmp_path, B) as b:
        await a.journal.create_world("t", "w")
        await a.vanish()
        await asyncio.sleep(LEASE_MS / 1000)
        assert not a.ownership.here("t", "w")
        await b.ownership.find("t", "w")
        assert await a.ownership.find("t", "w") == B
        assert not a.worlds.has("t", "w")


async def test_a_restarted_owner_has_its_worlds_at_once(url: str, tmp_path: Path) -> None:
    async with replica(url, tmp_path, A) as before:
        await before.journal.create_world("t", "w")
        await before.write("one")
        await before.vanish()
        async with replica(url, tmp_path, A) as after:
            assert after.npcs() == {"one"}
            with pytest.raises(StoreDown, match="moved"):
                await before.write("late")


async def test_a_lease_server_that_lost_its_memory_changes_no_owner(url: str, tmp_path: Path) -> None:
    async with replica(url, tmp_path, A) as a, replica(url, tmp_path, B) as b:
        await a.journal.create_world("t", "w")
        await a.database.run(EVERY_TENANT, lambda connection: connection.execute(delete(tables.leases)))
        await asyncio.sleep(LEASE_MS / 1000)
        assert await b.ownership.find("t", "w") == A
        assert a.ownership.here("t", "w")
        assert a.ownership.faults() == {}


async def test_two_servers_of_one_name_do_not_fight(url: str, tmp_path: Path) -> None:
    async with replica(url, tmp_path, A) as first:
        await first.journal.create_world("t", "w")
        async with replica(url, tmp_path, A) as second:
            await asyncio.sleep(LEASE_MS / 1000)
            assert "another process runs under this replica's name" in first.ownership.faults()["ownership"]
            with pytest.raises(Unavailable, match="another process"):
                await first.ownership.find("t", "w")
            assert second.ownership.here("t", "w")
            assert second.ownership.faults() == {}


async def test_a_checkpoint_of_a_former_owner_is_not_kept(url: str, tmp_path: Path) -> None:
    async with replica(url, tmp_path, A) as a, replica(url, tmp_path, B) as b:
        await a.journal.create_world("t", "w")
        await a.write("one")
        await a.vanish()
        await asyncio.sleep(LEASE_MS / 1000)
        await b.ownership.find("t", "w")
        await b.write("two")
        await b.journal.checkpoint()
        await a.journal.checkpoint()
        kept = await b.database.run(EVERY_TENANT, lambda connection: load_checkpoint(connection, "t", "w"))
        assert set(kept.npcs) == {"one", "two"}

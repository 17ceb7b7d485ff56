"""The outlet: every committed event reaches the stream, in order, whatever ends in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import structlog

from app.core.clock import SystemClock
from app.stores.checkpoints import Checkpoints
from app.stores.database import open_database
from app.stores.events import Stream as Committed
from app.stores.journal import WorldJournal
from app.stores.outlet import Outlet, Record, stream_name
from app.stores.redis.client import Client
from app.stores.redis.streams import RedisStream
from app.stores.writer import Writer
from app.telemetry.metrics import Metrics
from app.world.entities import Npc
from app.world.events import EntityUpserted, decoder
from app.world.state import Worlds
from tests.doubles import SilentLog
from tests.stores.conftest import MIGRATIONS, owner_of
from tests.stores.contracts.servers import key_server

_records = msgspec.msgpack.Decoder(Record)


def npc(number: int) -> EntityUpserted:
    return EntityUpserted(entity=Npc(id=f"n{number}", name="N"))


@asynccontextmanager
async def world_with_outlet(folder: Path, url: str) -> AsyncIterator[tuple[WorldJournal, RedisStream, Outlet, Client]]:
    """A journal whose events go out to a server; leaving the block is a restart."""
    clock, log = SystemClock(), structlog.get_logger()
    database = open_database("", folder=folder, migrations=MIGRATIONS)
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
    committed, worlds = Committed(), Worlds()
    journal = WorldJournal(
        worlds=worlds,
        database=database,
        writer=writer,
        stream=committed,
        clock=clock,
        log=log,
        idempotency_keys_max=100,
        checkpoints=Checkpoints(
            database, clock=clock, log=log, events_min=1000, interval_ms=60_000, queue_events_max=1000
        ),
    )
    ownership = owner_of(journal, database, worlds)
    await ownership.start()
    client = Client(url, connections_max=4, command_ms=400, log=SilentLog())
    client.start()
    stream = RedisStream(client, clock=clock, entries_max=1000, dead_max=5, tries_max=3, retry_ms=5000)
    outlet = Outlet(database, stream, log=SilentLog(), retry_ms=50)
    committed.subscribe(outlet.take)
    outlet.start(worlds.all())
    try:
        yield journal, stream, outlet, client
    finally:
        await writer.close(patience_s=1)
        await outlet.close()
        await client.close()
        await ownership.close()
        await database.close()


async def read(stream: RedisStream, count: int) -> list[Record]:
    """The next `count` records of the world, acknowledged."""
    found: list[Record] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            more = await stream.read("t", stream_name("w"), "g", "m", entries_max=500, wait_ms=200)
            await stream.done("t", stream_name("w"), "g", more)
            found += [_records.decode(delivery.entry.body) for delivery in more]
    return found


async def test_every_event_goes_out_once_and_in_order_over_a_restart(tmp_path: Path) -> None:
    with key_server("valkey", tmp_path) as server:
        async with world_with_outlet(tmp_path, server.url) as (journal, stream, *_):
            await journal.create_world("t", "w")
            written = list(await journal.append("t", "w", [npc(number) for number in range(250)]))
            found = await read(stream, 250)
        async with world_with_outlet(tmp_path, server.url) as (journal, stream, *_):
            written += await journal.append("t", "w", [npc(250)])
            found += await read(stream, 1)
        assert [(record.id, record.seq) for record in found] == [(event.id, event.seq) for event in written]
        assert [decoder.decode(record.change) for record in found] == [event.change for event in written]


async def test_what_was_committed_while_the_server_was_gone_goes_out_later(tmp_path: Path) -> None:
    with key_server("valkey", tmp_path) as server:
        async with world_with_outlet(tmp_path, server.url) as (journal, stream, outlet, client):
            await journal.create_world("t", "w")
            await journal.append("t", "w", [npc(0)])
            assert len(await read(stream, 1)) == 1
            server.kill()
            for number in range(1, 6):
                await journal.append("t", "w", [npc(number)])
            async with asyncio.timeout(2):
                while not (outlet.fault and client.fault):  # noqa: ASYNC110  # a fault sets no event
                    await asyncio.sleep(0.01)
        async with world_with_outlet(tmp_path, server.url) as (_journal, stream, outlet, client):
            server.start()
            async with asyncio.timeout(5):
                while client.fault or outlet.fault:  # noqa: ASYNC110  # a fault sets no event
                    await asyncio.sleep(0.01)
            seqs = [record.seq for record in await read(stream, 6)]
            assert seqs == [1, 2, 3, 4, 5, 6], "a server that lost its memory gets the whole log again"

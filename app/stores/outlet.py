"""Committed events on their way out: from the log, world by world and in order, to the shared stream.

The log is the outbox, so nothing is written twice and nothing that was committed can be left out: where to go on is
told by the newest entry of the stream itself. An entry may go out twice, never not at all; consumers know
an event by its id. It does not know who consumes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, select

from app.core.errors import Unavailable
from app.core.messages import Event
from app.core.ports import Entry, Log, Stream
from app.stores import tables
from app.stores.database import Database
from app.world.state import World

BATCH_EVENTS = 100
RETRY_MS = 250
_encoder = msgspec.msgpack.Encoder()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an entry, as msgpack; `change` is encoded as in the log, in the format `version`."""

    version: int
    world: str
    seq: int
    id: str
    wall_ms: int
    game_s: float
    change: msgspec.Raw


def stream_name(world: str) -> str:
    """The stream of a world's events."""
    return f"events.{world}"


class Outlet:
    """Owns the task that publishes what the log has and the stream has not.

    It keeps the names of worlds that are behind and no events, so a stream that is gone or full costs no memory.
    """

    def __init__(self, database: Database, stream: Stream, *, log: Log, retry_ms: int = RETRY_MS) -> None:
        self._database = database
        self._stream = stream
        self._log = log
        self._retry_s = retry_ms / 1000.0
        self._behind: dict[tuple[str, str], None] = {}
        self._published: dict[tuple[str, str], tuple[str, int]] = {}
        """World -> id and seq of the newest event that we know is in the stream."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.fault = ""
        """Why events do not go out now; empty while they do."""

    def start(self, worlds: Iterable[World]) -> None:
        """Begin with what earlier runs of the server left behind in `worlds`."""
        for world in worlds:
            self._behind[world.tenant, world.id] = None
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="outlet")

    def take(self, world: World, _events: Sequence[Event]) -> None:
        """Note that a world has new events in its log; a subscriber of the committed events."""
        self._behind[world.tenant, world.id] = None
        self._wake.set()

    async def close(self) -> None:
        """Stop; the next start goes on where this one ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            worlds, self._behind = self._behind, {}
            faults = [await self._catch_up(*world) for world in worlds]
            self._tell(next((fault for fault in faults if fault), ""))
            if self.fault:
                await asyncio.sleep(self._retry_s)
                self._wake.set()

    async def _catch_up(self, tenant: str, world: str) -> str:
        """Publish until the stream has all; why that failed, or empty."""
        try:
            while await self._publish(tenant, world):
                pass
        except Unavailable as error:
            self._behind[tenant, world] = None
            return error.message
        return ""

    async def _publish(self, tenant: str, world: str) -> bool:
        """Publish the next events; whether there may be more."""
        last = await self._stream.last(tenant, stream_name(world))
        known = self._published.get((tenant, world), ("", 0))
        after_seq = (
            known[1]
            if known[0] == (last or "")
            else await self._database.run(tenant, lambda connection: _seq(connection, tenant, world, last or ""))
        )
        entries, seq = await self._database.run(tenant, lambda connection: _read(connection, tenant, world, after_seq))
        if entries:
            await self._stream.publish(tenant, stream_name(world), entries)
            self._published[tenant, world] = (entries[-1].id, seq)
        return len(entries) == BATCH_EVENTS

    def _tell(self, fault: str) -> None:
        if fault and not self.fault:
            self._log.warning("outlet.held", reason=fault)
        elif self.fault and not fault:
            self._log.info("outlet.flows")
        self.fault = fault


def _seq(connection: Connection, tenant: str, world: str, id: str) -> int:
    """The place of an event in its world's log; 0 for one that is not there, so that all of it goes out again."""
    table = tables.events
    query = select(table.c.seq).where(table.c.tenant == tenant, table.c.id == id, table.c.world == world)
    return connection.execute(query).scalar() or 0


def _read(connection: Connection, tenant: str, world: str, after_seq: int) -> tuple[list[Entry], int]:
    """The entries of the events that follow `after_seq`, and the last one's place."""
    table = tables.events
    query = select(table).where(table.c.tenant == tenant, table.c.world == world, table.c.seq > after_seq)
    rows = connection.execute(query.order_by(table.c.seq).limit(BATCH_EVENTS)).all()
    entries = [
        Entry(
            id=row.id,
            body=_encoder.encode(
                Record(
                    version=row.version,
                    world=world,
                    seq=row.seq,
                    id=row.id,
                    wall_ms=row.wall_ms,
                    game_s=row.game_s,
                    change=msgspec.Raw(row.body),
                )
            ),
        )
        for row in rows
    ]
    return entries, rows[-1].seq if rows else after_seq

"""The records behind lines, in the database: each sealed, with the persons that it is about beside it.

They wait in a bounded queue and are written together a few times a second; what comes while the database is gone for
longer is dropped, oldest first, and counted. It knows nothing of what a record says.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, insert, select

from app.core.clock import Clock
from app.core.dialogue_records import Sheet
from app.core.errors import StoreDown
from app.core.ports import Log
from app.stores import tables
from app.stores.database import Database
from app.stores.vault import vault_of

TABLE = "dialogue_records"
BATCH_ROWS = 64
PAGE_ROWS = 500
COMPRESSION = 1
BODY_BYTES_MAX = 4_194_304
"""Of a record that is read, unpacked."""
CLOSE_TRIES_MAX = 3


class _Place(NamedTuple):
    tenant: str
    world: str
    id: str


class _Waiting(NamedTuple):
    make: Callable[[], Sheet]
    wall_ms: int


def put(connection: Connection, tenant: str, rows: Mapping[_Place, tuple[Sheet, int]]) -> None:
    """Write records; those that are there already stay as they are."""
    table, persons = tables.dialogue_records, tables.dialogue_record_persons
    ids = [place.id for place in rows]
    there = set(connection.execute(select(table.c.id).where(table.c.tenant == tenant, table.c.id.in_(ids))).scalars())
    fresh = {place: row for place, row in rows.items() if place.id not in there}
    if not fresh:
        return
    vault = vault_of(connection)
    records, named = [], []
    for place, (sheet, wall_ms) in fresh.items():
        body = vault.seal(tenant, TABLE, "body", place.id, zlib.compress(sheet.body, COMPRESSION))
        records.append({"tenant": tenant, "id": place.id, "world": place.world, "wall_ms": wall_ms, "body": body})
        named += [{"tenant": tenant, "person": one, "world": place.world, "id": place.id} for one in sheet.persons]
    connection.execute(insert(table), records)
    if named:
        connection.execute(insert(persons), named)


def get(connection: Connection, tenant: str, world: str, id: str) -> bytes | None:
    """The body of a record."""
    table = tables.dialogue_records
    query = select(table.c.body).where(table.c.tenant == tenant, table.c.world == world, table.c.id == id)
    found = connection.execute(query).scalar()
    if found is None:
        return None
    packed = vault_of(connection).open(tenant, TABLE, "body", id, bytes(found))
    return zlib.decompressobj().decompress(packed, BODY_BYTES_MAX)


def of_person(connection: Connection, tenant: str, person: str, most: int) -> list[dict[str, Any]]:
    """World, id and time of the records that are about a person, the newest `most`; `dialogue.explain` shows each."""
    table, persons = tables.dialogue_records, tables.dialogue_record_persons
    of = and_(persons.c.tenant == table.c.tenant, persons.c.id == table.c.id)
    query = select(table.c.world, table.c.id, table.c.wall_ms).join(persons, of)
    query = query.where(persons.c.tenant == tenant, persons.c.person == person)
    rows = connection.execute(query.order_by(table.c.wall_ms.desc(), table.c.id).limit(most))
    return [{"world": row.world, "explain_id": row.id, "wall_ms": row.wall_ms} for row in rows]


def erase(connection: Connection, tenant: str, world: str, person: str) -> int:
    """Delete every record that is about a person of a world; how many there were."""
    persons = tables.dialogue_record_persons
    of = (persons.c.tenant == tenant, persons.c.world == world, persons.c.person == person)
    gone = 0
    while ids := list(connection.execute(select(persons.c.id).where(*of).limit(PAGE_ROWS)).scalars()):
        _drop(connection, tenant, ids)
        gone += len(ids)
    return gone


def forget(connection: Connection, tenant: str, before_ms: int) -> int:
    """Delete what was written before; how many records there were."""
    table = tables.dialogue_records
    of = and_(table.c.tenant == tenant, table.c.wall_ms < before_ms)
    gone = 0
    while ids := list(connection.execute(select(table.c.id).where(of).limit(PAGE_ROWS)).scalars()):
        _drop(connection, tenant, ids)
        gone += len(ids)
    return gone


def _drop(connection: Connection, tenant: str, ids: list[str]) -> None:
    for table in (tables.dialogue_record_persons, tables.dialogue_records):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.id.in_(ids)))


class DatabaseRecords:
    """Implements app.core.dialogue_records.LineRecords; owns the task that writes."""

    def __init__(self, database: Database, *, clock: Clock, log: Log, queue_max: int, interval_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._log = log
        self._queue_max = queue_max
        self._interval_s = interval_ms / 1000.0
        self._waiting: OrderedDict[_Place, _Waiting] = OrderedDict()
        self._flying: dict[_Place, _Waiting] = {}
        self._unwanted: set[_Place] = set()
        """Of what is being written: what was to be forgotten meanwhile."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="dialogue records")

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._waiting = OrderedDict({**self._flying, **self._waiting})
        for _ in range(CLOSE_TRIES_MAX):
            if await self._flush():
                return
        self._log.error("records.dropped", rows=len(self._waiting), reason="the database does not take them")

    def keep(self, tenant: str, world: str, id: str, make: Callable[[], Sheet]) -> None:
        while len(self._waiting) >= self._queue_max:
            self._waiting.popitem(last=False)
            self._dropped += 1
        self._waiting[_Place(tenant, world, id)] = _Waiting(make, self._clock.wall_ms())
        self._wake.set()

    async def find(self, tenant: str, world: str, id: str) -> bytes | None:
        place = _Place(tenant, world, id)
        waiting = self._waiting.get(place) or self._flying.get(place)
        if waiting is not None:
            return (await asyncio.to_thread(waiting.make)).body
        return await self._database.run(tenant, lambda c: get(c, tenant, world, id))

    def forget(self, tenant: str, world: str) -> None:
        for place in [place for place in self._waiting if place[:2] == (tenant, world)]:
            del self._waiting[place]
        self._unwanted |= {place for place in self._flying if place[:2] == (tenant, world)}

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self._interval_s)
            if not await self._flush():
                self._wake.set()

    async def _flush(self) -> bool:
        """Write what waits; False where the database did not take it. A cancel leaves what flies for `close`."""
        if self._dropped:
            self._log.warning("records.dropped", rows=self._dropped, reason="more waited than the queue holds")
            self._dropped = 0
        while self._waiting:
            tenant = next(iter(self._waiting)).tenant
            places = [place for place in self._waiting if place.tenant == tenant][:BATCH_ROWS]
            self._flying = {place: self._waiting.pop(place) for place in places}
            flying = dict(self._flying)
            try:
                await self._database.run(tenant, lambda c, t=tenant, f=flying: _write(c, t, f))  # type: ignore[misc]  # bound at once
            except StoreDown as error:
                kept = {place: one for place, one in self._flying.items() if place not in self._unwanted}
                self._waiting = OrderedDict({**kept, **self._waiting})
                self._flying, self._unwanted = {}, set()
                self._log.warning("records.wait", rows=len(self._waiting), reason=error.message)
                return False
            self._flying = {}
            await self._take_back(tenant)
        return True

    async def _take_back(self, tenant: str) -> None:
        """Delete what was written while its world forgot somebody."""
        ids = [place.id for place in self._unwanted]
        if ids:
            await self._database.run(tenant, lambda c: _drop(c, tenant, ids))
            self._unwanted.clear()


def _write(connection: Connection, tenant: str, waiting: Mapping[_Place, _Waiting]) -> None:
    """Write what can be written: a text with half a surrogate pair in it cannot."""
    rows: dict[_Place, tuple[Sheet, int]] = {}
    for place, one in waiting.items():
        with suppress(UnicodeError):
            rows[place] = (one.make(), one.wall_ms)
    put(connection, tenant, rows)

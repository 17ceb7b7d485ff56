"""Who remembers which events of the log: a projection of it, and the reading of one holder's memories.

A row says that an event is one that its holder noted or forgot; what it says lies in the log alone, sealed as it is
there. A memory that is forgotten keeps its row, so that a world that is turned back to before has it again; one
whose content is gone has none. It ranks nothing and keeps nothing in RAM.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select

from app.core.messages import Change, Event
from app.core.threads import resting
from app.stores import repositories, tables
from app.stores.bulk import Row, insert_rows
from app.stores.database import Database
from app.stores.replay import STEP_EVENTS, Progress, Replayed
from app.stores.sealing import logged
from app.stores.vault import Vault
from app.world.events import MemoryForgotten, MemoryNoted

PAGE_ROWS = 1_000
READ_ROWS = 250
"""Events that are read at once."""
ROWS_AT_ONCE = 32
"""Of these, opened before others get their turn."""
FAULTS_SHOWN_MAX = 8


def rows_of(tenant: str, world: str, event: Event) -> list[Row]:
    """The rows that an event puts into `minds`, one for each holder."""
    return [(tenant, world, holder, event.seq) for holder in holders_of(event.change)]


def holders_of(change: Change) -> tuple[str, ...]:
    """Whose memory a change is about; nobody's where its content is gone."""
    if isinstance(change, MemoryNoted):
        return tuple(dict.fromkeys(change.holders)) if change.text else ()
    return (change.holder,) if isinstance(change, MemoryForgotten) else ()


class DatabaseMemories:
    """Implements app.core.memory.Kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, tenant: str, world: str, holders: Sequence[str]) -> Sequence[Event]:
        """The holders' events in order, page by page; what concerns somebody who is being erased is left out."""
        gone = await self._database.run(tenant, lambda c: _erased(c, tenant))
        found: list[Event] = []
        after_seq = 0
        while True:
            seqs, rows = await self._database.run(tenant, partial(_page, tenant=tenant, world=world, holders=holders,
                                                                  after_seq=after_seq))  # fmt: skip
            if not seqs:
                return found
            after_seq = seqs[-1]
            found += await asyncio.to_thread(_events, rows, self._database.vault, gone)

    async def newest(self, tenant: str, world: str, most: int) -> Sequence[Event]:
        """What anybody noted and forgot at the end of the log; of persons who are being erased, nothing."""
        gone = await self._database.run(tenant, lambda c: _erased(c, tenant))
        last_seq = await self._database.run(tenant, lambda c: repositories.newest_seq(c, tenant, world))
        found: list[Event] = []
        for after_seq in range(max(0, last_seq - most), last_seq, READ_ROWS):
            rows = await self._database.run(
                tenant, partial(repositories.event_rows, tenant=tenant, world=world, after_seq=after_seq,
                                rows_max=min(READ_ROWS, last_seq - after_seq))
            )  # fmt: skip
            found += await asyncio.to_thread(_events, rows, self._database.vault, gone)
        return [event for event in found if holders_of(event.change)]


class MindsProjection:
    """Which holder remembers which event."""

    name = "minds"

    def check(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        return _compare(connection, tenant, world, told)[0]

    def rebuild(self, connection: Connection, tenant: str, world: str, told: Progress) -> Replayed:
        replayed, rows = _compare(connection, tenant, world, told)
        table = tables.minds
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.world == world))
        for at in range(0, len(rows), PAGE_ROWS):
            insert_rows(connection, table, rows[at : at + PAGE_ROWS])
        return replayed


def _compare(connection: Connection, tenant: str, world: str, told: Progress) -> tuple[Replayed, list[Row]]:
    """(what was found, the rows as the log gives them)."""
    last_seq = repositories.newest_seq(connection, tenant, world)
    given = sorted(_given(connection, tenant, world, last_seq, told))
    table = tables.minds
    query = select(table).where(table.c.tenant == tenant, table.c.world == world, table.c.seq <= last_seq)
    saved = {tuple(row) for row in connection.execute(query)}
    missing, extra = [row for row in given if row not in saved], sorted(saved.difference(given))
    faults = [f"no row of {holder!r} at event {seq}" for _, _, holder, seq in missing[:FAULTS_SHOWN_MAX]]
    faults += [f"a row too many of {holder!r} at event {seq}" for _, _, holder, seq in extra[:FAULTS_SHOWN_MAX]]
    replayed = Replayed(
        tenant=tenant,
        world=world,
        projection=MindsProjection.name,
        seq=last_seq,
        saved_seq=max((row[3] for row in saved), default=0),
        sha256=hashlib.sha256(msgspec.msgpack.encode(given)).hexdigest(),
        faults=tuple(faults),
    )
    return replayed, given


def _given(connection: Connection, tenant: str, world: str, last_seq: int, told: Progress) -> Iterator[Row]:
    for event in repositories.events_between(connection, tenant, world, 1, last_seq):
        yield from rows_of(tenant, world, event)
        if event.seq % STEP_EVENTS == 0:
            told(STEP_EVENTS)
    told(last_seq % STEP_EVENTS)


def _page(
    connection: Connection, tenant: str, world: str, holders: Sequence[str], after_seq: int
) -> tuple[Sequence[int], Sequence[Any]]:
    """(the next places in the log, what stands there)."""
    log, table = tables.events, tables.minds
    places = (
        select(table.c.seq)
        .distinct()
        .where(table.c.tenant == tenant, table.c.world == world, table.c.holder.in_(holders), table.c.seq > after_seq)
    )
    seqs = connection.execute(places.order_by(table.c.seq).limit(READ_ROWS)).scalars().all()
    query = logged().where(log.c.tenant == tenant, log.c.world == world, log.c.seq.in_(seqs))
    return seqs, connection.execute(query.order_by(log.c.seq)).all()


def _events(rows: Sequence[Any], vault: Vault, gone: set[str]) -> list[Event]:
    events = [repositories.event_of(row, vault) for row in resting(rows, ROWS_AT_ONCE)]
    return [event for event in events if not _concerns(event.change, gone)]


def _erased(connection: Connection, tenant: str) -> set[str]:
    """Persons whose erasure has begun and is not through the log yet."""
    table = tables.erasures
    query = select(table.c.subject).where(table.c.tenant == tenant, table.c.finished_ms.is_(None))
    return set(connection.execute(query).scalars())


def _concerns(change: Change, persons: set[str]) -> bool:
    if not persons or not isinstance(change, MemoryNoted):
        return False
    return not persons.isdisjoint((change.speaker, change.told_by, *change.participants, *change.known_by))


def forget_rows(connection: Connection, tenant: str, world: str, seqs: Sequence[int]) -> None:
    """Take out the rows of memories whose content is gone."""
    table = tables.minds
    for at in range(0, len(seqs), PAGE_ROWS):
        some = seqs[at : at + PAGE_ROWS]
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.world == world, table.c.seq.in_(some)))

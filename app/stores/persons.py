"""Persons in the database: what is held of one, and erasures from their first note to their end.

An erasure is noted in a file outside the database before anything goes. Each start holds that file against the keys of
subjects, so what a backup has brought back, or a kill has left, is erased before any world is loaded.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, and_, func, insert, select, update

from app.core.clock import Clock
from app.core.persons import Erasure
from app.stores import dialogue_records, forgetting, reports, repositories, tables
from app.stores.database import Database
from app.stores.replay import Progress
from app.stores.tenancy import EVERY_TENANT
from app.stores.tombstones import Left, Tombstone, Tombstones
from app.stores.usage import read_usage
from app.stores.vault import vault_of
from app.world.events import SubjectErased
from app.world.personal import mentions
from app.world.usage import rows_of

ALIAS_BYTES = 12
SCRUBBED = (
    "events",
    "sealed_events",
    "sealed_checkpoints",
    "subject_keys",
    "data_keys",
    "erasures",
    "dialogue_records",
    "dialogue_record_persons",
    "reports",
)
EXPORTED_EVENTS_MAX = 100_000
EXPORTED_LINES_MAX = 100_000


class DatabasePersons:
    """Implements app.core.persons.Persons."""

    def __init__(self, database: Database, tombstones: Tombstones, clock: Clock) -> None:
        self._database = database
        self._tombstones = tombstones
        self._clock = clock

    async def begin(self, tenant: str, subject: str, left: Left) -> Erasure:
        now_ms = self._clock.wall_ms()
        digest = self._tombstones.digest(tenant, subject)
        running = await self._database.run(tenant, lambda c: _running(c, tenant, subject))
        if running is not None:
            return running
        newest_ms = await self._database.run(tenant, lambda c: _newest_key_ms(c, tenant, subject))
        erasure = Erasure(
            tenant=tenant,
            alias=f"erased-{secrets.token_hex(ALIAS_BYTES)}",
            subject=subject,
            left=left,
            requested_ms=max(now_ms, newest_ms + 1),
        )
        self._tombstones.add(Tombstone(digest=digest, alias=erasure.alias, left=left, at_ms=erasure.requested_ms))
        await self._database.run(tenant, lambda c: _note(c, erasure, digest))
        return erasure

    async def worlds(self, tenant: str, subject: str) -> Sequence[str]:
        return await self._database.run_long(tenant, lambda c: forgetting.worlds_of(c, tenant, subject))

    async def rewrite(self, erasure: Erasure, world: str, last_seq: int, told: Progress = lambda _rows: None) -> int:
        change = SubjectErased(subject=erasure.subject, alias=erasure.alias, left=erasure.left)
        return await self._database.run_long(
            erasure.tenant, lambda c: forgetting.rewrite(c, erasure.tenant, world, change, last_seq, told)
        )

    async def retire(self, tenant: str) -> None:
        now_ms = self._clock.wall_ms()
        await self._database.run(tenant, lambda c: forgetting.retire_checkpoint_keys(c, tenant, now_ms))

    async def finish(self, erasure: Erasure) -> None:
        now_ms = self._clock.wall_ms()
        await self._database.run(erasure.tenant, lambda c: _end(c, erasure, now_ms))
        await self._database.scrub(SCRUBBED)

    async def erasure(self, tenant: str, alias: str) -> Erasure | None:
        table = tables.erasures
        query = select(table).where(table.c.tenant == tenant, table.c.alias == alias)
        row = await self._database.run(tenant, lambda c: c.execute(query).first())
        return None if row is None else _erasure(row)

    async def unfinished(self) -> Sequence[Erasure]:
        table = tables.erasures
        query = select(table).where(table.c.finished_ms.is_(None))
        return [_erasure(row) for row in await self._database.run(EVERY_TENANT, lambda c: c.execute(query).all())]

    async def held(self, tenant: str, subject: str) -> dict[str, Any]:
        return await self._database.run_long(tenant, lambda c: _held(c, tenant, subject))

    async def erase_again(self, *, told: Progress = lambda _rows: None) -> int:
        """Erase what a restored backup or a kill has left of persons that have a tombstone; how many there were.

        No process may own the worlds yet.
        """
        found = self._tombstones.all()
        if not found:
            return 0
        known = await self._database.run(EVERY_TENANT, _subjects)
        again = 0
        for tenant, subject, since_ms in known:
            stone = found.get(self._tombstones.digest(tenant, subject))
            if stone is not None and since_ms < stone.at_ms:
                await self.erase_offline(_from(stone, tenant, subject), told=told)
                again += 1
        return again

    async def erase_offline(self, erasure: Erasure, *, told: Progress = lambda _rows: None) -> int:
        """The whole of an erasure where no server holds the worlds; how many rows were changed."""
        digest = self._tombstones.digest(erasure.tenant, erasure.subject)
        await self._database.run(erasure.tenant, lambda c: _note(c, erasure, digest))
        changed = 0
        for world in await self.worlds(erasure.tenant, erasure.subject):
            changed += await self._database.run_long(
                erasure.tenant,
                lambda c, world=world: _offline(c, erasure, world, told),  # type: ignore[misc]  # bound at once
            )
        await self._database.run(erasure.tenant, lambda c: forgetting.drop_all_checkpoints(c, erasure.tenant))
        await self.finish(erasure)
        return changed


def _offline(connection: Connection, erasure: Erasure, world: str, told: Progress) -> int:
    tenant, subject = erasure.tenant, erasure.subject
    keys = forgetting.key_ids(connection, tenant, world, subject, erasure.requested_ms)
    quests = forgetting.quests_in_log(connection, tenant, world, subject, keys)
    change = SubjectErased(subject=subject, alias=erasure.alias, left=erasure.left, quests=tuple(quests))
    seq = forgetting.append_erased(connection, tenant, world, change, erasure.requested_ms)
    return forgetting.rewrite(connection, tenant, world, change, seq, told)


def _from(stone: Tombstone, tenant: str, subject: str) -> Erasure:
    return Erasure(tenant=tenant, alias=stone.alias, subject=subject, left=stone.left, requested_ms=stone.at_ms)


def _subjects(connection: Connection) -> list[tuple[str, str, int]]:
    """(tenant, subject, when its oldest key was made) of every person that is known."""
    table = tables.subject_keys
    query = select(table.c.tenant, table.c.subject, func.min(table.c.created_ms)).group_by(
        table.c.tenant, table.c.subject
    )
    return [(row[0], row[1], int(row[2])) for row in connection.execute(query)]


def _newest_key_ms(connection: Connection, tenant: str, subject: str) -> int:
    table = tables.subject_keys
    query = select(func.max(table.c.created_ms)).where(table.c.tenant == tenant, table.c.subject == subject)
    return int(connection.execute(query).scalar() or 0)


def _running(connection: Connection, tenant: str, subject: str) -> Erasure | None:
    table = tables.erasures
    query = select(table).where(table.c.tenant == tenant, table.c.subject == subject, table.c.finished_ms.is_(None))
    row = connection.execute(query).first()
    return None if row is None else _erasure(row)


def _note(connection: Connection, erasure: Erasure, digest: str) -> None:
    """Write the erasure down as under way, or again so."""
    table = tables.erasures
    of = and_(table.c.tenant == erasure.tenant, table.c.alias == erasure.alias)
    if connection.execute(select(table.c.alias).where(of)).first() is not None:
        connection.execute(update(table).where(of).values(subject=erasure.subject, finished_ms=None))
        return
    values = {"tenant": erasure.tenant, "alias": erasure.alias, "subject": erasure.subject, "digest": digest}
    connection.execute(insert(table).values(**values, left_over=erasure.left, requested_ms=erasure.requested_ms))


def _end(connection: Connection, erasure: Erasure, now_ms: int) -> None:
    forgetting.destroy_checkpoint_keys(connection, erasure.tenant, erasure.requested_ms)
    table = tables.erasures
    of = and_(table.c.tenant == erasure.tenant, table.c.alias == erasure.alias)
    connection.execute(update(table).where(of).values(subject="", finished_ms=now_ms))


def _erasure(row: Any) -> Erasure:
    left: Literal["totals", "numbers"] = row.left_over
    return Erasure(
        tenant=row.tenant,
        alias=row.alias,
        subject=row.subject,
        left=left,
        requested_ms=row.requested_ms,
        finished_ms=row.finished_ms,
    )


def _held(connection: Connection, tenant: str, subject: str) -> dict[str, Any]:
    """Events, keys, usage, reports and lines of the person; an event with personal content of others only names it."""
    vault, found = vault_of(connection), []
    for world in forgetting.worlds_of(connection, tenant, subject):
        keys = forgetting.key_ids(connection, tenant, world, subject, 1 << 62)
        for row in forgetting.rows_naming(connection, tenant, world, subject):
            event = repositories.event_of(row, vault)
            if row.key in keys or row.other_key in keys or (row.sealed is None and mentions(event.change, subject)):
                found.append({"world": world, "seq": event.seq, "wall_ms": event.wall_ms, "change": event.change})
            if len(found) == EXPORTED_EVENTS_MAX:
                break
    usage = [
        msgspec.structs.asdict(row)
        for owner, world in repositories.world_ids(connection)
        if owner == tenant
        for row in rows_of(read_usage(connection, tenant, world))
        if row.player == subject
    ]
    table = tables.subject_keys
    query = select(func.count()).where(table.c.tenant == tenant, table.c.subject == subject)
    told = reports.of_player(connection, tenant, subject)
    lines = dialogue_records.of_person(connection, tenant, subject, EXPORTED_LINES_MAX)
    keys_held = int(connection.execute(query).scalar() or 0)
    return {"events": found, "usage": usage, "reports": told, "lines": lines, "keys": keys_held}

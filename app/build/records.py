"""Access as the control plane sees it, over the database's rows; implements app.control.records.Records."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection

from app.control.keys import Key, NewKey
from app.control.records import Changes, Family, Rule, Turned
from app.control.ring import SigningKey, draw_signing_key
from app.core.module import Scope
from app.stores import identity, tables
from app.stores.database import Database


class DatabaseRecords:
    """One transaction for each question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def changes_after(self, version: int) -> Changes | None:
        return await self._database.run(lambda connection: changes_after(connection, version))

    async def open_family(self, family: Family, digest: str, *, expires_ms: int, families_max: int) -> Family:
        values = {
            "handle": family.handle,
            "id": family.id,
            "actor": family.actor,
            "scopes": int(family.scopes),
            "rotation": family.rotation,
            "since_ms": family.since_ms,
            "ends_ms": family.ends_ms,
            "digest": digest,
            "expires_ms": expires_ms,
        }
        return await self._database.run(
            lambda connection: _family(identity.open_family(connection, family.tenant, values, families_max))
        )

    async def turn_family(
        self, tenant: str, handle: str, *, digest: str, next_digest: str, now_ms: int, expires_ms: int
    ) -> Turned:
        def work(connection: Connection) -> Turned:
            row, turned = identity.turn_family(
                connection,
                tenant,
                handle,
                digest=digest,
                next_digest=next_digest,
                now_ms=now_ms,
                expires_ms=expires_ms,
            )
            found = _family(row) if row is not None else None
            return Turned(found) if turned else Turned(None, reused=found)

        return await self._database.run(work)

    async def find_family(self, tenant: str, handle: str) -> Family | None:
        row = await self._database.run(lambda connection: identity.family(connection, tenant, handle))
        return _family(row) if row is not None else None

    async def end_family(self, tenant: str, id: str, now_ms: int) -> None:
        await self._database.run(lambda connection: identity.end_family(connection, tenant, id, now_ms))

    async def end_actor(self, tenant: str, actor: str, now_ms: int) -> None:
        await self._database.run(lambda connection: identity.end_actor(connection, tenant, actor, now_ms))

    async def limit_actor(self, tenant: str, actor: str, scopes: Scope | None, now_ms: int) -> None:
        most = int(scopes) if scopes is not None else None
        await self._database.run(lambda connection: identity.limit_actor(connection, tenant, actor, most, now_ms))

    async def keys(self, tenant: str) -> list[Key]:
        rows = await self._database.run(lambda connection: identity.api_keys_of(connection, tenant))
        return [Key.from_row(row) for row in rows]

    async def add_key(self, tenant: str, new: NewKey) -> None:
        created_ms = new.row["created_ms"]
        await self._database.run(lambda connection: identity.add_api_key(connection, tenant, new.row, created_ms))

    async def rotate_key(self, tenant: str, prefix: str, secret_sha256: str, *, until_ms: int) -> bool:
        return await self._database.run(
            lambda connection: identity.rotate_api_key(connection, tenant, prefix, secret_sha256, until_ms) == 1
        )

    async def revoke_key(self, tenant: str, prefix: str, now_ms: int) -> bool:
        return await self._database.run(
            lambda connection: identity.revoke_api_key(connection, tenant, prefix, now_ms) == 1
        )

    async def change_key(self, tenant: str, prefix: str, scopes: Scope, role: str) -> bool:
        values = {"scopes": int(scopes), "role": role}
        return await self._database.run(
            lambda connection: identity.change_api_key(connection, tenant, prefix, values) == 1
        )

    async def note_used(self, subjects: Collection[tuple[str, str]], now_ms: int) -> None:
        if subjects:
            await self._database.run(
                lambda connection: identity.note_used(connection, subjects, now_ms // identity.DAY_MS)
            )

    async def rotate_ring(self, now_ms: int, *, older_than_ms: int, signs_ms: int) -> bool:
        return await self._database.run(
            lambda connection: rotate_ring(connection, now_ms, older_than_ms=older_than_ms, signs_ms=signs_ms)
        )

    async def tidy(self, ended_before_ms: int) -> None:
        await self._database.run(lambda connection: identity.tidy(connection, ended_before_ms))


def changes_after(connection: Connection, version: int) -> Changes | None:
    """What changed after `version`; None when nothing did."""
    newest = identity.version(connection)
    if newest == version:
        return None
    return Changes(
        newest,
        keys=[Key.from_row(row) for row in identity.changed(connection, tables.api_keys, version)],
        rules=[_rule(row) for row in identity.changed(connection, tables.access_rules, version)],
        signing_keys=[signing_key(row) for row in identity.changed(connection, tables.signing_keys, version)],
    )


def rotate_ring(connection: Connection, now_ms: int, *, older_than_ms: int, signs_ms: int) -> bool:
    """Add a signing key unless the newest one is younger than `older_than_ms`; whether it was added."""
    key = draw_signing_key(now_ms, signs_ms=signs_ms)
    values = {"id": key.id, "value": key.value, "created_ms": key.created_ms, "signs_ms": key.signs_ms}
    return identity.add_signing_key(connection, values, unless_after_ms=now_ms - older_than_ms)


def signing_key(row: dict[str, Any]) -> SigningKey:
    """A row of the ring."""
    return SigningKey(row["id"], bytes(row["value"]), row["created_ms"], row["signs_ms"], row["retired_ms"])


def _rule(row: dict[str, Any]) -> Rule:
    scopes = Scope(row["scopes"]) if row["scopes"] is not None else None
    return Rule(row["tenant"], row["actor"], scopes, row["generation"], row["ended_ms"])


def _family(row: dict[str, Any]) -> Family:
    return Family(
        tenant=row["tenant"],
        handle=row["handle"],
        id=row["id"],
        actor=row["actor"],
        scopes=Scope(row["scopes"]),
        rotation=row["rotation"],
        generation=row["generation"],
        since_ms=row["since_ms"],
        ends_ms=row["ends_ms"],
    )

"""Queries about keys, sign-ins, signing keys and revocations, as plain functions on a connection.

What changes somebody's access takes the next number of one counter. That row stays locked until the transaction is
over, so changes are committed in the order of their numbers, and who asks for those after a number misses none. It is
taken after the rows of keys and sign-ins, always, so that no two changes wait for one another.
"""

from __future__ import annotations

import hmac
import secrets as random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.digests import peppered
from app.stores import repositories, tables
from app.stores.fields import keep_secret
from app.stores.vault import vault_of

PEPPER = "api_key_pepper"
PEPPER_BYTES = 32
DAY_MS = 86_400_000
VERSION_ROW = 1
KEEPS_PLAIN = tables.OLDEST_REVISION < "0004"
"""Whether a release that knows only the plain digest of a key's secret may still serve this database."""
Row = dict[str, Any]


def prepare(connection: Connection) -> bytes:
    """Make the counter and the pepper where they are missing; the pepper."""
    counter = tables.access_version
    connection.execute(_insert_or_leave(connection, counter, {"id": VERSION_ROW, "version": 0}))
    return keep_secret(connection, PEPPER, random.token_bytes(PEPPER_BYTES))


def next_change(connection: Connection) -> int:
    """The number of the change that this transaction makes; whoever else makes one waits for it."""
    table = tables.access_version
    connection.execute(update(table).where(table.c.id == VERSION_ROW).values(version=table.c.version + 1))
    return version(connection)


def version(connection: Connection) -> int:
    """The number of the newest change."""
    table = tables.access_version
    return int(connection.execute(select(table.c.version).where(table.c.id == VERSION_ROW)).scalar() or 0)


def changed(connection: Connection, table: Table, after: int) -> list[Row]:
    """The rows of all tenants that changed after that number."""
    rows = [dict(row) for row in connection.execute(select(table).where(table.c.change > after)).mappings()]
    return [_opened(connection, row) for row in rows] if table is tables.signing_keys else rows


def api_keys(connection: Connection) -> list[Row]:
    """Every key's row; secrets are digests."""
    return [dict(row) for row in connection.execute(select(tables.api_keys)).mappings()]


def api_keys_of(connection: Connection, tenant: str) -> list[Row]:
    """The rows of a tenant's keys."""
    table = tables.api_keys
    rows = connection.execute(select(table).where(table.c.tenant == tenant).order_by(table.c.created_ms))
    return [dict(row) for row in rows.mappings()]


def add_api_key(connection: Connection, tenant: str, values: Mapping[str, Any], created_ms: int) -> None:
    """Insert a key, and its tenant where that is new."""
    pepper, change = prepare(connection), next_change(connection)
    if tenant not in repositories.tenant_ids(connection):
        connection.execute(insert(tables.tenants).values(id=tenant, name=tenant, created_ms=created_ms))
    kept = _kept(values["secret_sha256"], pepper)
    connection.execute(insert(tables.api_keys).values({**values, **kept, "tenant": tenant, "change": change}))


def revoke_api_key(connection: Connection, tenant: str, prefix: str, revoked_ms: int) -> int:
    """How many keys were revoked: 0 or 1."""
    statement = update(tables.api_keys).where(_in_force(tenant, prefix))
    found = connection.execute(statement.values(revoked_ms=revoked_ms)).rowcount
    if found:
        _end_families(connection, tenant, f"key:{prefix}", revoked_ms)
        _number(connection, tenant, prefix)
    return found


def change_api_key(connection: Connection, tenant: str, prefix: str, values: Mapping[str, Any]) -> int:
    """How many keys were given other values: 0 or 1."""
    statement = update(tables.api_keys).where(_in_force(tenant, prefix)).values(values)
    found = connection.execute(statement).rowcount
    if found:
        _number(connection, tenant, prefix)
    return found


def rotate_api_key(connection: Connection, tenant: str, prefix: str, secret_sha256: str, until_ms: int) -> int:
    """How many keys got a new secret: 0 or 1. What was signed in with the old one ends with it."""
    pepper = prepare(connection)
    table = tables.api_keys
    row = connection.execute(select(table).where(_in_force(tenant, prefix)).with_for_update()).mappings().first()
    if row is None:
        return 0
    values = {
        **_kept(secret_sha256, pepper),
        "rotation": row["rotation"] + 1,
        "previous_digest": row["secret_hmac"] or row["secret_sha256"],
        "previous_until_ms": until_ms,
    }
    families = tables.token_families
    held = and_(families.c.tenant == tenant, families.c.actor == f"key:{prefix}", families.c.ends_ms > until_ms)
    connection.execute(update(families).where(held).values(ends_ms=until_ms))
    found = connection.execute(update(table).where(_in_force(tenant, prefix)).values(values)).rowcount
    _number(connection, tenant, prefix)
    return found


def note_used(connection: Connection, subjects: Collection[tuple[str, str]], day: int) -> None:
    """Note the day, counted from 1970, on which keys were last used; nobody is told of it."""
    table = tables.api_keys
    for tenant, actor in sorted(subjects):
        of = and_(table.c.tenant == tenant, table.c.prefix == actor.partition(":")[2])
        connection.execute(update(table).where(of, func.coalesce(table.c.used_day, 0) < day).values(used_day=day))


def open_family(connection: Connection, tenant: str, values: Mapping[str, Any], families_max: int) -> Row:
    """Insert a sign-in in the actor's present generation, ending its oldest over `families_max`; the row."""
    table = tables.token_families
    actor = values["actor"]
    row = {**values, "tenant": tenant, "generation": _generation(connection, tenant, actor)}
    connection.execute(insert(table).values(row))
    mine = select(table.c.handle).where(table.c.tenant == tenant, table.c.actor == actor)
    surplus = list(connection.execute(mine.order_by(table.c.expires_ms.desc()).offset(families_max)).scalars())
    if surplus:
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.handle.in_(surplus)))
    return row


def family(connection: Connection, tenant: str, handle: str) -> Row | None:
    """The row of a sign-in."""
    table = tables.token_families
    of = and_(table.c.tenant == tenant, table.c.handle == handle)
    row = connection.execute(select(table).where(of)).mappings().first()
    return dict(row) if row is not None else None


def turn_family(
    connection: Connection, tenant: str, handle: str, *, digest: str, next_digest: str, now_ms: int, expires_ms: int
) -> tuple[Row | None, bool]:
    """(the sign-in, whether it turned): of all who come with one digest, one alone turns it.

    A sign-in that comes back and did not turn was asked with a digest of before, and has ended by this.
    """
    table = tables.token_families
    goes_on = (
        table.c.tenant == tenant,
        table.c.handle == handle,
        table.c.ended_ms.is_(None),
        table.c.ends_ms > now_ms,
        table.c.expires_ms > now_ms,
    )
    turning = update(table).where(*goes_on, table.c.digest == digest)
    turned = connection.execute(turning.values(digest=next_digest, expires_ms=expires_ms)).rowcount == 1
    row = family(connection, tenant, handle)
    if turned or row is None or row["ended_ms"] is not None:
        return (row, True) if turned else (None, False)
    if hmac.compare_digest(row["digest"], digest):  # its time is over, and it was not used before
        return None, False
    return (row if end_family(connection, tenant, row["id"], now_ms) else None), False


def end_family(connection: Connection, tenant: str, id: str, now_ms: int) -> bool:
    """End a sign-in, and with a rule the access tokens that came from it; whether it went on until now."""
    table = tables.token_families
    of = and_(table.c.tenant == tenant, table.c.id == id, table.c.ended_ms.is_(None))
    ended = connection.execute(update(table).where(of).values(ended_ms=now_ms)).rowcount
    values = {"generation": 1, "ended_ms": now_ms, "change": next_change(connection)}
    _put_rule(connection, tenant, f"family:{id}", values)
    return ended == 1


def end_actor(connection: Connection, tenant: str, actor: str, now_ms: int) -> None:
    """End all sign-ins of an actor, and begin its next generation of tokens."""
    _end_families(connection, tenant, actor, now_ms)
    change = next_change(connection)
    generation = _generation(connection, tenant, actor) + 1
    _put_rule(connection, tenant, actor, {"generation": generation, "ended_ms": now_ms, "change": change})


def limit_actor(connection: Connection, tenant: str, actor: str, scopes: int | None, now_ms: int) -> None:
    """Keep the most that an actor's tokens may do."""
    change = next_change(connection)
    values = {"scopes": scopes, "ended_ms": now_ms, "change": change}
    _put_rule(connection, tenant, actor, {"generation": _generation(connection, tenant, actor), **values})


def signing_keys(connection: Connection) -> Sequence[Row]:
    """The ring, oldest first. This and `add_signing_key` are the only places where a signing key's value passes."""
    table = tables.signing_keys
    rows = connection.execute(select(table).order_by(table.c.created_ms)).mappings()
    return [_opened(connection, dict(row)) for row in rows]


def _opened(connection: Connection, row: Row) -> Row:
    value = vault_of(connection).open("", "signing_keys", "value", row["id"], bytes(row["value"]))
    return {**row, "value": value}


def add_signing_key(connection: Connection, values: Mapping[str, Any], *, unless_after_ms: int) -> bool:
    """Add a key to the ring, unless its newest was made after `unless_after_ms`; whether it was added."""
    change = next_change(connection)
    held = [row["created_ms"] for row in signing_keys(connection) if row["retired_ms"] is None]
    if held and max(held) > unless_after_ms:
        return False
    first = {"signs_ms": values["created_ms"]} if not held else {}
    sealed = vault_of(connection).seal("", "signing_keys", "value", values["id"], values["value"])
    row = {**values, **first, "value": sealed, "change": change}
    connection.execute(insert(tables.signing_keys).values(row))
    return True


def retire_signing_key(connection: Connection, id: str, retired_ms: int) -> int:
    """How many keys were retired: 0 or 1. What they signed holds no longer."""
    change = next_change(connection)
    table = tables.signing_keys
    statement = update(table).where(table.c.id == id, table.c.retired_ms.is_(None))
    return connection.execute(statement.values(retired_ms=retired_ms, change=change)).rowcount


def tidy(connection: Connection, ended_before_ms: int) -> None:
    """Forget sign-ins, and the rules of sign-ins, that ended before then."""
    table, rules = tables.token_families, tables.access_rules
    over = or_(
        table.c.ended_ms < ended_before_ms, table.c.expires_ms < ended_before_ms, table.c.ends_ms < ended_before_ms
    )
    connection.execute(delete(table).where(over))
    connection.execute(delete(rules).where(rules.c.actor.like("family:%"), rules.c.ended_ms < ended_before_ms))


def _in_force(tenant: str, prefix: str) -> Any:
    table = tables.api_keys
    return and_(table.c.tenant == tenant, table.c.prefix == prefix, table.c.revoked_ms.is_(None))


def _number(connection: Connection, tenant: str, prefix: str) -> None:
    """Give a key's change its number."""
    table = tables.api_keys
    of = and_(table.c.tenant == tenant, table.c.prefix == prefix)
    connection.execute(update(table).where(of).values(change=next_change(connection)))


def _end_families(connection: Connection, tenant: str, actor: str, now_ms: int) -> None:
    table = tables.token_families
    of = and_(table.c.tenant == tenant, table.c.actor == actor, table.c.ended_ms.is_(None))
    connection.execute(update(table).where(of).values(ended_ms=now_ms))


def _generation(connection: Connection, tenant: str, actor: str) -> int:
    table = tables.access_rules
    of = and_(table.c.tenant == tenant, table.c.actor == actor)
    return int(connection.execute(select(table.c.generation).where(of)).scalar() or 0)


def _put_rule(connection: Connection, tenant: str, actor: str, values: Row) -> None:
    """Write an actor's rule; the caller holds the counter's lock."""
    table = tables.access_rules
    of = and_(table.c.tenant == tenant, table.c.actor == actor)
    if not connection.execute(update(table).where(of).values(values)).rowcount:
        connection.execute(insert(table).values({"tenant": tenant, "actor": actor, **values}))


def _kept(secret_sha256: str, pepper: bytes) -> Row:
    """What is kept of a secret: the peppered digest, and the plain one while an older release may have to read it."""
    return {
        "secret_sha256": secret_sha256 if KEEPS_PLAIN else "",
        "secret_hmac": peppered(secret_sha256, pepper),
    }


def _insert_or_leave(connection: Connection, table: Table, values: Row) -> Any:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table).values(values).on_conflict_do_nothing()

"""Queries about the people who run a tenant, as plain functions on a connection; the tenant comes first in each.

What may be done once is done by one statement that says what must still be so: of many who come with the same code,
one alone finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.stores import tables

Row = dict[str, Any]
DAY_MS = 86_400_000
OWNER = "owner"


def has_tenant(connection: Connection, tenant: str) -> bool:
    return connection.execute(select(tables.tenants.c.id).where(tables.tenants.c.id == tenant)).first() is not None


def add_tenant(connection: Connection, tenant: str, created_ms: int) -> None:
    """Make the tenant where it is new; whoever else adds somebody to it waits for the transaction's end."""
    table, values = tables.tenants, {"id": tenant, "name": tenant, "created_ms": created_ms}
    connection.execute(_insert(connection, table).values(values).on_conflict_do_nothing())
    connection.execute(select(table.c.id).where(table.c.id == tenant).with_for_update())


def operators(connection: Connection, tenant: str, **wanted: str) -> list[Row]:
    """Those with the `wanted` values who are not removed, oldest first, with how many passkeys and codes they have."""
    table = tables.operators
    query = select(table, _passkeys().label("passkeys"), _recovery_codes().label("recovery_codes"))
    query = query.where(table.c.tenant == tenant, table.c.removed_ms.is_(None))
    for name, value in wanted.items():
        query = query.where(table.c[name] == value)
    return [dict(row) for row in connection.execute(query.order_by(table.c.created_ms, table.c.id)).mappings()]


def lock_operator(connection: Connection, tenant: str, id: str) -> None:
    """Whoever else locks the operator waits for the transaction's end."""
    table = tables.operators
    connection.execute(select(table.c.id).where(table.c.tenant == tenant, table.c.id == id).with_for_update())


def is_removed(connection: Connection, tenant: str, id: str) -> bool:
    """Whether there was an operator of that id who is not there any more."""
    table = tables.operators
    of = and_(table.c.tenant == tenant, table.c.id == id, table.c.removed_ms.is_not(None))
    return connection.execute(select(table.c.id).where(of)).first() is not None


def count_operators(connection: Connection, tenant: str) -> int:
    """How many are there, invited ones too."""
    table = tables.operators
    there = and_(table.c.tenant == tenant, table.c.removed_ms.is_(None))
    return int(connection.execute(select(func.count()).where(there)).scalar() or 0)


def other_owners(connection: Connection, tenant: str, id: str) -> int:
    """How many other owners can sign in; none of them changes before the transaction ends."""
    table = tables.operators
    query = select(table.c.id).where(
        table.c.tenant == tenant,
        table.c.role == OWNER,
        table.c.joined_ms.is_not(None),
        table.c.disabled_ms.is_(None),
        table.c.removed_ms.is_(None),
    )
    owners = connection.execute(query.order_by(table.c.id).with_for_update()).scalars()
    return sum(owner != id for owner in owners)


def add_operator(connection: Connection, tenant: str, values: Mapping[str, Any]) -> bool:
    """Whether the operator was added; not when its login is taken."""
    make = _insert(connection, tables.operators).values({**values, "tenant": tenant})
    return connection.execute(make.on_conflict_do_nothing()).rowcount == 1


def change_operator(connection: Connection, tenant: str, id: str, values: Mapping[str, Any]) -> bool:
    """Whether there was such an operator to change."""
    table = tables.operators
    of = and_(table.c.tenant == tenant, table.c.id == id, table.c.removed_ms.is_(None))
    return connection.execute(update(table).where(of).values(dict(values))).rowcount == 1


def login_taken(connection: Connection, tenant: str, login_key: str, id: str) -> bool:
    """Whether somebody else has that login."""
    table = tables.operators
    of = and_(table.c.tenant == tenant, table.c.login_key == login_key, table.c.id != id)
    return connection.execute(select(table.c.id).where(of)).first() is not None


def take_step(connection: Connection, tenant: str, id: str, step: int) -> bool:
    """Use up a time step of the operator's authenticator; of all who come with one step, one alone gets it."""
    table = tables.operators
    of = and_(
        table.c.tenant == tenant,
        table.c.id == id,
        table.c.totp_step < step,
        table.c.disabled_ms.is_(None),
        table.c.removed_ms.is_(None),
    )
    return connection.execute(update(table).where(of).values(totp_step=step)).rowcount == 1


def add_code(connection: Connection, tenant: str, values: Mapping[str, Any]) -> None:
    connection.execute(insert(tables.operator_codes).values({**values, "tenant": tenant}))


def count_codes(connection: Connection, tenant: str, kinds: Collection[str], now_ms: int) -> int:
    """How many codes of those kinds are open; those that are over are forgotten first."""
    table = tables.operator_codes
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.expires_ms <= now_ms))
    of = and_(table.c.tenant == tenant, table.c.kind.in_(kinds))
    return int(connection.execute(select(func.count()).where(of)).scalar() or 0)


def code(connection: Connection, tenant: str, digest: str, kind: str, now_ms: int) -> Row | None:
    """The code in force with that digest."""
    row = connection.execute(select(tables.operator_codes).where(_in_force(tenant, digest, kind, now_ms)))
    found = row.mappings().first()
    return dict(found) if found is not None else None


def take_code(connection: Connection, tenant: str, digest: str, kind: str, now_ms: int) -> Row | None:
    """The same, which is then gone: of all who come with one code, one alone gets it."""
    found = code(connection, tenant, digest, kind, now_ms)
    taken = connection.execute(delete(tables.operator_codes).where(_in_force(tenant, digest, kind, now_ms))).rowcount
    return found if taken else None


def drop_codes(connection: Connection, tenant: str, operator: str, kinds: Collection[str] | None = None) -> None:
    """Forget an operator's codes, of those kinds where they are named."""
    table = tables.operator_codes
    statement = delete(table).where(table.c.tenant == tenant, table.c.operator == operator)
    connection.execute(statement if kinds is None else statement.where(table.c.kind.in_(kinds)))


def add_passkey(connection: Connection, tenant: str, values: Mapping[str, Any]) -> bool:
    """Whether the passkey was added; not when it is there already."""
    make = _insert(connection, tables.operator_passkeys).values({**values, "tenant": tenant})
    return connection.execute(make.on_conflict_do_nothing()).rowcount == 1


def passkeys(connection: Connection, tenant: str, **wanted: str) -> Sequence[Row]:
    """The passkeys with the `wanted` values, oldest first."""
    table = tables.operator_passkeys
    query = select(table).where(table.c.tenant == tenant)
    for name, value in wanted.items():
        query = query.where(table.c[name] == value)
    return [dict(row) for row in connection.execute(query.order_by(table.c.created_ms)).mappings()]


def use_passkey(connection: Connection, tenant: str, digest: str, *, count: int, next_count: int, now_ms: int) -> bool:
    """Whether the passkey still had that count of signatures, and has the next one now."""
    table = tables.operator_passkeys
    of = and_(table.c.tenant == tenant, table.c.digest == digest, table.c.sign_count == count)
    return connection.execute(update(table).where(of).values(sign_count=next_count, used_ms=now_ms)).rowcount == 1


def drop_passkeys(connection: Connection, tenant: str, operator: str, digest: str | None = None) -> int:
    """How many of an operator's passkeys were removed: all, or the one of that digest."""
    table = tables.operator_passkeys
    statement = delete(table).where(table.c.tenant == tenant, table.c.operator == operator)
    return connection.execute(statement if digest is None else statement.where(table.c.digest == digest)).rowcount


def attempt(
    connection: Connection, tenant: str, subject: str, *, now_ms: int, failures_max: int, lock_ms_max: int
) -> bool:
    """Count one try, as a failure until `forget_attempts` says otherwise; False while the subject must wait.

    Counting comes before looking, so of many tries at once no more than `failures_max` are let through. A day without
    any begins anew. Every call writes one row, whatever it answers.
    """
    table = tables.sign_in_attempts
    of = and_(table.c.tenant == tenant, table.c.subject == subject)
    first = {"tenant": tenant, "subject": subject, "failures": 0, "until_ms": 0, "seen_ms": now_ms}
    connection.execute(_insert(connection, table).values(first).on_conflict_do_nothing())
    counted = case((table.c.seen_ms < now_ms - DAY_MS, 1), else_=table.c.failures + 1)
    counting = update(table).where(of, table.c.until_ms <= now_ms).values(failures=counted, seen_ms=now_ms)
    if not connection.execute(counting).rowcount:
        connection.execute(update(table).where(of).values(seen_ms=now_ms))
        return False
    failures = connection.execute(select(table.c.failures).where(of)).scalar_one()
    if failures >= failures_max:
        wait_ms = min(lock_ms_max, 1_000 * 2 ** min(failures - failures_max, 30))
        connection.execute(update(table).where(of).values(until_ms=now_ms + wait_ms))
    return True


def forget_attempts(connection: Connection, tenant: str, subject: str) -> None:
    """The last try was good: no failure is counted any more."""
    table = tables.sign_in_attempts
    of = and_(table.c.tenant == tenant, table.c.subject == subject)
    connection.execute(update(table).where(of).values(failures=0, until_ms=0))


def _in_force(tenant: str, digest: str, kind: str, now_ms: int) -> Any:
    table = tables.operator_codes
    unexpired = or_(table.c.expires_ms.is_(None), table.c.expires_ms > now_ms)
    return and_(table.c.tenant == tenant, table.c.digest == digest, table.c.kind == kind, unexpired)


def _passkeys() -> Any:
    table = tables.operator_passkeys
    of = and_(table.c.tenant == tables.operators.c.tenant, table.c.operator == tables.operators.c.id)
    return select(func.count()).where(of).scalar_subquery()


def _recovery_codes() -> Any:
    table = tables.operator_codes
    of = and_(table.c.tenant == tables.operators.c.tenant, table.c.operator == tables.operators.c.id)
    return select(func.count()).where(of, table.c.kind == "recovery").scalar_subquery()


def _insert(connection: Connection, table: Any) -> Any:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)

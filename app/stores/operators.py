"""Queries over operators, their passkeys and tickets; the tenant comes first in each.

What may happen once is a conditional statement whose row count says who was first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.stores.tables import operator_passkeys, operator_tickets, operators

Row = RowMapping | Mapping[str, Any]
OWNER = "owner"


def all_of(connection: Connection, tenant: str) -> Sequence[RowMapping]:
    """Every operator of the tenant, by login."""
    query = select(operators).where(operators.c.tenant == tenant).order_by(operators.c.login)
    return connection.execute(query).mappings().all()


def one(connection: Connection, tenant: str, id: str) -> RowMapping | None:
    query = select(operators).where(operators.c.tenant == tenant, operators.c.id == id)
    return connection.execute(query).mappings().first()


def by_login(connection: Connection, tenant: str, login: str) -> RowMapping | None:
    query = select(operators).where(operators.c.tenant == tenant, operators.c.login == login)
    return connection.execute(query).mappings().first()


def add(connection: Connection, tenant: str, values: Row) -> bool:
    """Insert one; False when its login is taken."""
    if by_login(connection, tenant, values["login"]) is not None:
        return False
    return _inserted(connection, operators, [values])


def change(connection: Connection, tenant: str, id: str, **values: Any) -> bool:
    """Set columns of one; False when it is not there."""
    found = update(operators).where(operators.c.tenant == tenant, operators.c.id == id)
    return connection.execute(found.values(**values)).rowcount == 1


def change_keeping_an_owner(connection: Connection, tenant: str, id: str, **values: Any) -> bool:
    """As `change`, but not when no owner in force would be left."""
    owners = _owners(connection, tenant)
    leaves = values.get("role", OWNER) != OWNER or values.get("disabled_ms") is not None
    if leaves and owners == {id}:
        return False
    return change(connection, tenant, id, **values)


def remove(connection: Connection, tenant: str, id: str) -> bool:
    """Delete one with its passkeys and tickets; False when it is the last owner in force, or not there."""
    if _owners(connection, tenant) == {id}:
        return False
    for table in (operator_passkeys, operator_tickets):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.operator == id))
    gone = delete(operators).where(operators.c.tenant == tenant, operators.c.id == id)
    return connection.execute(gone).rowcount == 1


def begin_try(connection: Connection, tenant: str, id: str, now_ms: int, waits_ms: Sequence[int]) -> bool:
    """Count a try under the row's lock; False while the row is locked for longer."""
    query = select(operators.c.failures, operators.c.locked_until_ms)
    row = connection.execute(query.where(operators.c.tenant == tenant, operators.c.id == id).with_for_update()).first()
    if row is None or row.locked_until_ms > now_ms:
        return False
    failures = row.failures + 1
    wait_ms = waits_ms[min(failures, len(waits_ms) - 1)]
    return change(connection, tenant, id, failures=failures, locked_until_ms=now_ms + wait_ms)


def take_step(connection: Connection, tenant: str, id: str, step: int) -> bool:
    """Take a TOTP step that is later than the last one; False for all but the first."""
    later = update(operators).where(operators.c.tenant == tenant, operators.c.id == id, operators.c.totp_step < step)
    return connection.execute(later.values(totp_step=step)).rowcount == 1


def forget_factors(connection: Connection, tenant: str, id: str) -> bool:
    """Empty password and factors, and drop every ticket; False when there is no such operator."""
    for table in (operator_passkeys, operator_tickets):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.operator == id))
    empty = {"password_hash": "", "totp_secret": None, "totp_step": 0, "failures": 0, "locked_until_ms": 0}
    return change(connection, tenant, id, **empty)


def passkeys(connection: Connection, tenant: str, operator: str) -> Sequence[RowMapping]:
    table = operator_passkeys
    query = select(table).where(table.c.tenant == tenant, table.c.operator == operator).order_by(table.c.created_ms)
    return connection.execute(query).mappings().all()


def passkey(connection: Connection, tenant: str, id: str) -> RowMapping | None:
    query = select(operator_passkeys).where(operator_passkeys.c.tenant == tenant, operator_passkeys.c.id == id)
    return connection.execute(query).mappings().first()


def add_passkey(connection: Connection, tenant: str, values: Row) -> bool:
    """Insert one; False when its id is known."""
    if passkey(connection, tenant, values["id"]) is not None:
        return False
    return _inserted(connection, operator_passkeys, [values])


def count_passkey(connection: Connection, tenant: str, id: str, sign_count: int) -> bool:
    """Raise the counter; False when it did not grow. An authenticator without one says 0 each time."""
    table = operator_passkeys
    this = update(table).where(table.c.tenant == tenant, table.c.id == id)
    grown = this.where(table.c.sign_count < sign_count) if sign_count else this.where(table.c.sign_count == 0)
    return connection.execute(grown.values(sign_count=sign_count)).rowcount == 1


def remove_passkey(connection: Connection, tenant: str, operator: str, id: str) -> bool:
    table = operator_passkeys
    this = delete(table).where(table.c.tenant == tenant, table.c.operator == operator, table.c.id == id)
    return connection.execute(this).rowcount == 1


def add_tickets(connection: Connection, tenant: str, rows: Sequence[Row], *, replacing: str | None) -> bool:
    """Insert tickets of one operator, dropping its others of the purpose `replacing`; False for one that is known."""
    table = operator_tickets
    if replacing is not None:
        of = (table.c.tenant == tenant, table.c.operator == rows[0]["operator"], table.c.purpose == replacing)
        connection.execute(delete(table).where(*of))
    known = select(table.c.digest).where(table.c.tenant == tenant, table.c.digest.in_([row["digest"] for row in rows]))
    if connection.execute(known).first() is not None:
        return False
    return _inserted(connection, table, rows)


def peek_ticket(
    connection: Connection, tenant: str, digest: str, purpose: str, now_ms: int, tries_max: int
) -> RowMapping | None:
    """A ticket in force, counting the look; None otherwise, and after `tries_max` looks."""
    table = operator_tickets
    this = (
        table.c.tenant == tenant, table.c.digest == digest, table.c.purpose == purpose,
        table.c.expires_ms > now_ms, table.c.tries < tries_max,
    )  # fmt: skip
    if connection.execute(update(table).where(*this).values(tries=table.c.tries + 1)).rowcount != 1:
        return None
    query = select(table).where(table.c.tenant == tenant, table.c.digest == digest)
    return connection.execute(query).mappings().first()


def take_ticket(connection: Connection, tenant: str, digest: str, purpose: str, now_ms: int) -> RowMapping | None:
    """A ticket in force, which is deleted; None for everybody but the first."""
    table = operator_tickets
    this = (table.c.tenant == tenant, table.c.digest == digest, table.c.purpose == purpose, table.c.expires_ms > now_ms)
    row = connection.execute(select(table).where(*this)).mappings().first()
    return row if connection.execute(delete(table).where(*this)).rowcount == 1 else None


def count_tickets(connection: Connection, tenant: str, operator: str, purpose: str) -> int:
    table = operator_tickets
    query = select(func.count()).where(
        table.c.tenant == tenant, table.c.operator == operator, table.c.purpose == purpose
    )
    return int(connection.execute(query).scalar() or 0)


def drop_old_tickets(connection: Connection, tenant: str, now_ms: int) -> None:
    """Delete what is over."""
    table = operator_tickets
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.expires_ms <= now_ms))


def _inserted(connection: Connection, table: Table, values: Sequence[Row]) -> bool:
    """Insert rows; False when somebody else was quicker with one of them."""
    try:
        with connection.begin_nested():
            connection.execute(insert(table), [dict(one) for one in values])
    except IntegrityError:
        return False
    return True


def _owners(connection: Connection, tenant: str) -> set[str]:
    """The owners in force, whose rows stay as they are until the transaction ends."""
    query = select(operators.c.id).where(
        operators.c.tenant == tenant, operators.c.role == OWNER, operators.c.disabled_ms.is_(None)
    )
    return set(connection.execute(query.with_for_update()).scalars())

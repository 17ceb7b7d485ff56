"""Operators as the control plane sees them, over the database's rows; implements app.control.people.People."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.control.people import Operator, Passkey, Purpose, Ticket
from app.control.permissions import Role
from app.stores import operators as rows
from app.stores.database import Database


class DatabasePeople:
    """One transaction for each question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def operators(self, tenant: str) -> Sequence[Operator]:
        return [_operator(row) for row in await self._database.run(lambda c: rows.all_of(c, tenant))]

    async def operator(self, tenant: str, id: str) -> Operator | None:
        return _maybe(await self._database.run(lambda c: rows.one(c, tenant, id)))

    async def by_login(self, tenant: str, login: str) -> Operator | None:
        return _maybe(await self._database.run(lambda c: rows.by_login(c, tenant, login)))

    async def add(self, operator: Operator, invitation: Ticket) -> bool:
        values = {**asdict(operator), "role": operator.role.value}

        def work(connection: Any) -> bool:
            added = rows.add(connection, operator.tenant, values)
            return added and rows.add_tickets(connection, operator.tenant, [_row(invitation)], replacing=None)

        return await self._database.run(work)

    async def remove(self, tenant: str, id: str) -> bool:
        return await self._database.run(lambda c: rows.remove(c, tenant, id))

    async def set_role(self, tenant: str, id: str, role: Role) -> bool:
        return await self._database.run(lambda c: rows.change_keeping_an_owner(c, tenant, id, role=role.value))

    async def set_disabled(self, tenant: str, id: str, disabled_ms: int | None) -> bool:
        return await self._database.run(lambda c: rows.change_keeping_an_owner(c, tenant, id, disabled_ms=disabled_ms))

    async def set_password(self, tenant: str, id: str, hash: str) -> None:
        values = {"password_hash": hash, "failures": 0, "locked_until_ms": 0}
        await self._database.run(lambda c: rows.change(c, tenant, id, **values))

    async def begin_try(self, tenant: str, id: str, now_ms: int, waits_ms: Sequence[int]) -> bool:
        return await self._database.run(lambda c: rows.begin_try(c, tenant, id, now_ms, waits_ms))

    async def succeed(self, tenant: str, id: str) -> None:
        await self._database.run(lambda c: rows.change(c, tenant, id, failures=0, locked_until_ms=0))

    async def set_totp(self, tenant: str, id: str, secret: bytes | None, step: int) -> None:
        await self._database.run(lambda c: rows.change(c, tenant, id, totp_secret=secret, totp_step=step))

    async def take_step(self, tenant: str, id: str, step: int) -> bool:
        return await self._database.run(lambda c: rows.take_step(c, tenant, id, step))

    async def passkeys(self, tenant: str, operator: str) -> Sequence[Passkey]:
        return [Passkey(**row) for row in await self._database.run(lambda c: rows.passkeys(c, tenant, operator))]

    async def passkey(self, tenant: str, id: str) -> Passkey | None:
        row = await self._database.run(lambda c: rows.passkey(c, tenant, id))
        return Passkey(**row) if row is not None else None

    async def add_passkey(self, passkey: Passkey) -> bool:
        return await self._database.run(lambda c: rows.add_passkey(c, passkey.tenant, asdict(passkey)))

    async def count_passkey(self, tenant: str, id: str, sign_count: int) -> bool:
        return await self._database.run(lambda c: rows.count_passkey(c, tenant, id, sign_count))

    async def remove_passkey(self, tenant: str, operator: str, id: str) -> bool:
        return await self._database.run(lambda c: rows.remove_passkey(c, tenant, operator, id))

    async def add_tickets(self, tickets: Sequence[Ticket], *, replacing: Purpose | None = None) -> bool:
        tenant, values = tickets[0].tenant, [_row(ticket) for ticket in tickets]
        return await self._database.run(lambda c: rows.add_tickets(c, tenant, values, replacing=replacing))

    async def peek_ticket(
        self, tenant: str, digest: str, purpose: Purpose, now_ms: int, tries_max: int
    ) -> Ticket | None:
        return _ticket(
            await self._database.run(lambda c: rows.peek_ticket(c, tenant, digest, purpose, now_ms, tries_max))
        )

    async def take_ticket(self, tenant: str, digest: str, purpose: Purpose, now_ms: int) -> Ticket | None:
        return _ticket(await self._database.run(lambda c: rows.take_ticket(c, tenant, digest, purpose, now_ms)))

    async def count_tickets(self, tenant: str, operator: str, purpose: Purpose) -> int:
        return await self._database.run(lambda c: rows.count_tickets(c, tenant, operator, purpose))

    async def reset(self, tenant: str, id: str, invitation: Ticket) -> bool:
        def work(connection: Any) -> bool:
            found = rows.forget_factors(connection, tenant, id)
            return found and rows.add_tickets(connection, tenant, [_row(invitation)], replacing=None)

        return await self._database.run(work)

    async def tidy(self, tenant: str, now_ms: int) -> None:
        await self._database.run(lambda c: rows.drop_old_tickets(c, tenant, now_ms))


def _operator(row: rows.Row) -> Operator:
    return Operator(**{**row, "role": Role(row["role"])})


def _maybe(row: rows.Row | None) -> Operator | None:
    return _operator(row) if row is not None else None


def _row(ticket: Ticket) -> rows.Row:
    return {**asdict(ticket), "tries": 0}


def _ticket(row: rows.Row | None) -> Ticket | None:
    return Ticket(**{name: value for name, value in row.items() if name != "tries"}) if row is not None else None

"""What players reported, in the database: the line and what was said about it are sealed, the rest can be searched.

It decides nothing about a report. One player's report of one line is one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from app.core.errors import Conflict, NotFound, TooLarge
from app.core.reports import Report, State
from app.stores import tables
from app.stores.database import Database
from app.stores.vault import vault_of


class _Body(msgspec.Struct, frozen=True, array_like=True):
    text: str
    line: str


_bodies = msgspec.msgpack.Decoder(_Body)
_CLEAR = ("id", "world", "player", "explain_id", "npc", "category", "ai_generated", "made_ms", "state")


def add(connection: Connection, tenant: str, report: Report, *, open_max: int) -> Report:
    """Keep a report, or return the one of the same player and line; raises TooLarge at `open_max` open ones."""
    table = tables.reports
    same = (table.c.world == report.world, table.c.player == report.player, table.c.explain_id == report.explain_id)
    found = connection.execute(select(table).where(table.c.tenant == tenant, *same)).first()
    if found is not None:
        return _report(connection, tenant, found)
    count = select(func.count()).select_from(table).where(table.c.tenant == tenant, table.c.state == "open")
    if (connection.execute(count).scalar() or 0) >= open_max:
        raise TooLarge(f"{open_max} reports are open", hint="settle some; manage.py reports list")
    values: dict[str, Any] = {name: getattr(report, name) for name in _CLEAR}
    body = msgspec.msgpack.encode(_Body(report.text, report.line))
    sealed = vault_of(connection).seal(tenant, "reports", "body", report.id, body)
    connection.execute(insert(table).values(tenant=tenant, **values, settled_by="", body=sealed))
    return report


def page(connection: Connection, tenant: str, *, state: State | None, after: str, most: int) -> list[Report]:
    """Reports with an id above `after`, the oldest first."""
    table = tables.reports
    query = select(table).where(table.c.tenant == tenant, table.c.id > after)
    if state is not None:
        query = query.where(table.c.state == state)
    rows = connection.execute(query.order_by(table.c.id).limit(most)).all()
    return [_report(connection, tenant, row) for row in rows]


def get(connection: Connection, tenant: str, id: str) -> Report:
    """One report; raises NotFound."""
    table = tables.reports
    row = connection.execute(select(table).where(table.c.tenant == tenant, table.c.id == id)).first()
    if row is None:
        raise NotFound(f"no report {id!r}", hint="list them with GET /v1/reports")
    return _report(connection, tenant, row)


def settle(connection: Connection, tenant: str, id: str, *, note: str, actor: str, now_ms: int) -> Report:
    """Close a report; the same note again changes nothing. Raises NotFound, Conflict."""
    table = tables.reports
    found = get(connection, tenant, id)
    if found.state == "settled":
        if found.note != note:
            raise Conflict(f"report {id!r} is settled with another note", hint="make a new decision outside")
        return found
    sealed = vault_of(connection).seal(tenant, "reports", "note", id, note.encode())
    values = {"state": "settled", "note": sealed, "settled_by": actor, "settled_ms": now_ms}
    connection.execute(
        update(table).where(table.c.tenant == tenant, table.c.id == id, table.c.state == "open").values(**values)
    )
    return get(connection, tenant, id)


def of_player(connection: Connection, tenant: str, player: str) -> list[Report]:
    """What a player reported, in every world."""
    table = tables.reports
    query = select(table).where(table.c.tenant == tenant, table.c.player == player).order_by(table.c.id)
    return [_report(connection, tenant, row) for row in connection.execute(query).all()]


def erase(connection: Connection, tenant: str, world: str, player: str) -> int:
    """Drop a player's reports of a world, and what others' say of them by their id; how many rows that changed."""
    table = tables.reports
    of = (table.c.tenant == tenant, table.c.world == world)
    gone = connection.execute(delete(table).where(*of, table.c.player == player)).rowcount
    named = [
        row.id
        for row in connection.execute(select(table).where(*of)).all()
        if _names(_report(connection, tenant, row), player)
    ]
    connection.execute(update(table).where(*of, table.c.id.in_(named)).values(body=None, note=None))
    return gone + len(named)


def forget(connection: Connection, tenant: str, before_ms: int) -> int:
    """Drop reports that were made before; how many there were."""
    table = tables.reports
    return connection.execute(delete(table).where(table.c.tenant == tenant, table.c.made_ms < before_ms)).rowcount


class DatabaseReports:
    """Implements app.core.reports.Reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tenant: str, report: Report, *, open_max: int) -> Report:
        return await self._database.run(tenant, lambda c: add(c, tenant, report, open_max=open_max))

    async def page(self, tenant: str, *, state: State | None, after: str, most: int) -> Sequence[Report]:
        return await self._database.run(tenant, lambda c: page(c, tenant, state=state, after=after, most=most))

    async def get(self, tenant: str, id: str) -> Report:
        return await self._database.run(tenant, lambda c: get(c, tenant, id))

    async def settle(self, tenant: str, id: str, *, note: str, actor: str, now_ms: int) -> Report:
        return await self._database.run(tenant, lambda c: settle(c, tenant, id, note=note, actor=actor, now_ms=now_ms))


def _names(report: Report, player: str) -> bool:
    return any(player in text for text in (report.text, report.line, report.note))


def _report(connection: Connection, tenant: str, row: Row[Any]) -> Report:
    vault = vault_of(connection)
    body = _bodies.decode(vault.open(tenant, "reports", "body", row.id, bytes(row.body))) if row.body else _Body("", "")
    note = vault.open(tenant, "reports", "note", row.id, bytes(row.note)).decode() if row.note else ""
    clear: dict[str, Any] = {name: getattr(row, name) for name in _CLEAR}
    return Report(
        **clear, text=body.text, line=body.line, note=note, settled_by=row.settled_by, settled_ms=row.settled_ms
    )

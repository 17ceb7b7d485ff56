"""Work that can wait, in the database: batches, and their lines with what was asked and what came of it, sealed.

It decides nothing about a batch. A line's request is kept until its batch is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update

from app.core.batches import OVER, Batch, Line, Outcome
from app.core.errors import NotFound, nearest
from app.core.words import Completion
from app.stores import tables
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT
from app.stores.vault import vault_of

T = TypeVar("T")
ERASED = "erased"
"""The error of a line whose person was let go."""
LIVE = ("scene", "bill", "trace")
"""Fields of a completion that belong to the request of a moment, and are not kept."""
_Kept: type[msgspec.Struct] = msgspec.defstruct(
    "_Kept",
    [(field.name, field.type) if field.required else (field.name, field.type, field.default)
     for field in msgspec.structs.fields(Completion) if field.name not in LIVE],
    kw_only=True,
)  # fmt: skip
_completions = msgspec.msgpack.Decoder(_Kept)
_outcomes = msgspec.msgpack.Decoder(Outcome)


def add(connection: Connection, tenant: str, batch: Batch, completions: Sequence[Completion]) -> None:
    """A new batch with its lines."""
    connection.execute(insert(tables.batches).values(tenant=tenant, **_columns(batch)))
    rows = [
        {
            "tenant": tenant,
            "id": _line_id(batch.id, row),
            "batch": batch.id,
            "row": row,
            "tries": 0,
            "world": completion.world,
            "player": completion.player,
            "request": _seal(connection, tenant, batch.id, row, "request", _packed(completion)),
        }
        for row, completion in enumerate(completions)
    ]
    connection.execute(insert(tables.batch_lines), rows)


def take(connection: Connection, owner: str, now_ms: int, until_ms: int) -> list[Batch]:
    """Every batch that is not over and that nobody else looks after, from now on the owner's."""
    table = tables.batches
    free = or_(table.c.owner == owner, table.c.owned_until_ms < now_ms)
    of = and_(table.c.state.not_in(OVER), free)
    if connection.execute(select(table.c.id).where(of).limit(1)).first() is None:
        return []  # nothing is written where nothing waits
    connection.execute(update(table).where(of).values(owner=owner, owned_until_ms=until_ms))
    mine = and_(table.c.state.not_in(OVER), table.c.owner == owner, table.c.owned_until_ms == until_ms)
    return [_batch(row) for row in connection.execute(select(table).where(mine).order_by(table.c.id))]


def of_tenant(connection: Connection, tenant: str) -> list[Batch]:
    """A tenant's batches, the oldest first."""
    table = tables.batches
    return [
        _batch(row) for row in connection.execute(select(table).where(table.c.tenant == tenant).order_by(table.c.id))
    ]


def get(connection: Connection, tenant: str, id: str) -> Batch:
    """One batch; raises NotFound."""
    table = tables.batches
    row = connection.execute(select(table).where(table.c.tenant == tenant, table.c.id == id)).first()
    if row is None:
        raise NotFound(f"no batch {id!r}", hint=nearest(id, [batch.id for batch in of_tenant(connection, tenant)]))
    return _batch(row)


def lines(connection: Connection, tenant: str, id: str, rows_max: int | None = None) -> list[Line]:
    """The lines without an outcome: those first that have failed less often."""
    table = tables.batch_lines
    of = and_(table.c.tenant == tenant, table.c.batch == id, table.c.outcome.is_(None), table.c.request.is_not(None))
    query = select(table).where(of).order_by(table.c.tries, table.c.row).limit(rows_max)
    return [
        Line(row=row.row, completion=_unpacked(_open(connection, tenant, row, "request")), tries=row.tries)
        for row in connection.execute(query)
    ]


def outcomes(connection: Connection, tenant: str, id: str, but: Sequence[int]) -> list[Outcome]:
    """The outcomes of the rows that are not among `but`, in order."""
    table = tables.batch_lines
    of = and_(table.c.tenant == tenant, table.c.batch == id, table.c.outcome.is_not(None))
    known = set(but)
    rows = [row for row in connection.execute(select(table.c.row).where(of)).scalars() if row not in known]
    found = connection.execute(select(table).where(of, table.c.row.in_(rows)).order_by(table.c.row)) if rows else ()
    return [_outcomes.decode(_open(connection, tenant, row, "outcome")) for row in found]


def keep(connection: Connection, tenant: str, batch: Batch, new: Sequence[Outcome], failed: Sequence[int]) -> None:
    """The batch as it is now; `cancel` stays as it is in the database. Requests go when it is over."""
    table, held = tables.batch_lines, tables.batches
    values = {name: value for name, value in _columns(batch).items() if name not in ("id", "cancel")}
    connection.execute(update(held).where(held.c.tenant == tenant, held.c.id == batch.id).values(**values))
    for outcome in new:
        sealed = _seal(connection, tenant, batch.id, outcome.row, "outcome", msgspec.msgpack.encode(outcome))
        of = and_(table.c.tenant == tenant, table.c.id == _line_id(batch.id, outcome.row))
        connection.execute(update(table).where(of, table.c.outcome.is_(None)).values(outcome=sealed))
    for row in failed:
        of = and_(table.c.tenant == tenant, table.c.id == _line_id(batch.id, row))
        connection.execute(update(table).where(of).values(tries=table.c.tries + 1))
    if batch.state in OVER:
        of = and_(table.c.tenant == tenant, table.c.batch == batch.id)
        connection.execute(update(table).where(of).values(request=None))


def erase(connection: Connection, tenant: str, world: str, player: str) -> int:
    """Take what was asked for a person of a world, and what came of it, out of every line; how many there were.

    What a vendor still writes for such a line is read, paid and not kept.
    """
    table = tables.batch_lines
    of = and_(table.c.tenant == tenant, table.c.world == world, table.c.player == player)
    rows = connection.execute(select(table.c.id, table.c.batch, table.c.row).where(of)).all()
    for row in rows:
        gone = msgspec.msgpack.encode(Outcome(row=row.row, error=ERASED))
        values = {
            "player": "",
            "request": None,
            "outcome": _seal(connection, tenant, row.batch, row.row, "outcome", gone),
        }
        connection.execute(update(table).where(table.c.tenant == tenant, table.c.id == row.id).values(**values))
    return len(rows)


def want_cancelled(connection: Connection, tenant: str, id: str) -> Batch:
    """Somebody wants no more of the batch; raises NotFound."""
    table = tables.batches
    get(connection, tenant, id)
    connection.execute(update(table).where(table.c.tenant == tenant, table.c.id == id).values(cancel=True))
    return get(connection, tenant, id)


def forget(connection: Connection, tenant: str, before_ms: int) -> int:
    """Drop batches that were over before; how many there were."""
    table = tables.batches
    of = and_(table.c.tenant == tenant, table.c.ended_ms < before_ms)
    ids = list(connection.execute(select(table.c.id).where(of)).scalars())
    for name, column in ((tables.batch_lines, "batch"), (table, "id")):
        connection.execute(delete(name).where(name.c.tenant == tenant, name.c[column].in_(ids)))
    return len(ids)


class BatchShelf:
    """Implements app.core.batches.Shelf."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Batch, completions: Sequence[Completion]) -> None:
        await self._run(batch.tenant, lambda c: add(c, batch.tenant, batch, completions))

    async def take(self, owner: str, now_ms: int, until_ms: int) -> list[Batch]:
        return await self._run(EVERY_TENANT, lambda c: take(c, owner, now_ms, until_ms))

    async def of(self, tenant: str) -> list[Batch]:
        return await self._run(tenant, lambda c: of_tenant(c, tenant))

    async def get(self, tenant: str, id: str) -> Batch:
        return await self._run(tenant, lambda c: get(c, tenant, id))

    async def lines(self, tenant: str, id: str, *, rows_max: int | None = None) -> list[Line]:
        return await self._run(tenant, lambda c: lines(c, tenant, id, rows_max))

    async def outcomes(self, tenant: str, id: str, *, but: Sequence[int] = ()) -> list[Outcome]:
        return await self._run(tenant, lambda c: outcomes(c, tenant, id, but))

    async def keep(self, batch: Batch, outcomes: Sequence[Outcome] = (), *, failed: Sequence[int] = ()) -> None:
        await self._run(batch.tenant, lambda c: keep(c, batch.tenant, batch, outcomes, failed))

    async def want_cancelled(self, tenant: str, id: str) -> None:
        await self._run(tenant, lambda c: want_cancelled(c, tenant, id))

    async def _run(self, tenants: str, work: Callable[[Connection], T]) -> T:
        """All lines of a batch may take longer than one transaction mostly does."""
        return await self._database.run_long(tenants, work)


def _line_id(batch: str, row: int) -> str:
    return f"{batch}.{row}"


def _columns(batch: Batch) -> dict[str, Any]:
    found = msgspec.structs.asdict(batch)
    del found["tenant"]
    return found


def _batch(row: Row[Any]) -> Batch:
    return Batch(**{name: getattr(row, name) for name in Batch.__struct_fields__})


def _packed(completion: Completion) -> bytes:
    values = {name: getattr(completion, name) for name in _Kept.__struct_fields__}
    return msgspec.msgpack.encode(values)


def _unpacked(data: bytes) -> Completion:
    return Completion(**msgspec.structs.asdict(_completions.decode(data)))


def _seal(connection: Connection, tenant: str, batch: str, row: int, column: str, plain: bytes) -> bytes:
    return vault_of(connection).seal(tenant, "batch_lines", column, _line_id(batch, row), plain)


def _open(connection: Connection, tenant: str, row: Row[Any], column: str) -> bytes:
    return vault_of(connection).open(tenant, "batch_lines", column, row.id, bytes(getattr(row, column)))

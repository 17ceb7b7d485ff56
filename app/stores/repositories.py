"""Queries over the tables, as plain functions on a connection; the tenant comes first in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, insert, select, tuple_, update

from app.core.messages import Event
from app.stores import tables
from app.stores.sealing import change_of, logged
from app.stores.vault import Vault, vault_of

ROWS_PER_FETCH = 5_000


def world_ids(connection: Connection) -> list[tuple[str, str]]:
    """(tenant, world) of every world."""
    rows = connection.execute(select(tables.worlds.c.tenant, tables.worlds.c.id).order_by("tenant", "id"))
    return [(row.tenant, row.id) for row in rows]


class Claim(NamedTuple):
    """A world as one owner took it: `fence` counts its owners."""

    tenant: str
    world: str
    owner: str
    fence: int


def insert_world(connection: Connection, tenant: str, world: str, created_ms: int, *, owner: str = "") -> Claim:
    """Make the world's row, owned; one that is there stays, for an earlier try may have lost only its answer."""
    found = claim_of(connection, tenant, world)
    if found is None:
        found = Claim(tenant, world, owner, 1)
        values = {"tenant": tenant, "id": world, "created_ms": created_ms, "owner": owner, "fence": found.fence}
        connection.execute(insert(tables.worlds).values(values))
    return found


def claim_of(connection: Connection, tenant: str, world: str) -> Claim | None:
    """Who owns the world; None where there is none of that id."""
    table = tables.worlds
    query = select(table.c.owner, table.c.fence).where(table.c.tenant == tenant, table.c.id == world)
    row = connection.execute(query).first()
    return None if row is None else Claim(tenant, world, row.owner, row.fence)


def claims(connection: Connection) -> list[Claim]:
    """Who owns each world, of every tenant."""
    table = tables.worlds
    rows = connection.execute(select(table).order_by("tenant", "id"))
    return [Claim(row.tenant, row.id, row.owner, row.fence) for row in rows]


def claims_of(connection: Connection, tenant: str) -> list[Claim]:
    """Who owns each world of the tenant, by id."""
    table = tables.worlds
    rows = connection.execute(select(table).where(table.c.tenant == tenant).order_by("id"))
    return [Claim(row.tenant, row.id, row.owner, row.fence) for row in rows]


def take_world(connection: Connection, tenant: str, seen: Claim, owner: str) -> Claim | None:
    """Make `owner` the owner of a world that still is as `seen`; None when somebody else was quicker."""
    taken = Claim(tenant, seen.world, owner, seen.fence + 1)
    done = connection.execute(update(tables.worlds).where(_is(seen)).values(owner=owner, fence=taken.fence))
    return taken if done.rowcount else None


def leave_worlds(connection: Connection, tenant: str, owner: str) -> None:
    """Leave the tenant's worlds of `owner` to whoever is asked for them next."""
    table = tables.worlds
    connection.execute(update(table).where(table.c.tenant == tenant, table.c.owner == owner).values(owner=""))


def lost_claims(connection: Connection, held: Sequence[Claim]) -> list[Claim]:
    """Those of `held` that no longer hold; the others cannot be lost before the transaction ends."""
    table = tables.worlds
    rows = connection.execute(
        select(table.c.tenant, table.c.id, table.c.fence)
        .where(tuple_(table.c.tenant, table.c.id).in_([(one.tenant, one.world) for one in held]))
        .with_for_update(read=True)
    )
    fences = {(row.tenant, row.id): row.fence for row in rows}
    return [one for one in held if fences.get((one.tenant, one.world)) != one.fence]


def _is(claim: Claim) -> Any:
    table = tables.worlds
    return and_(table.c.tenant == claim.tenant, table.c.id == claim.world, table.c.fence == claim.fence)


def events_between(
    connection: Connection, tenant: str, world: str, first_seq: int, last_seq: int | None = None
) -> Iterator[Event]:
    """The events from `first_seq` on (to `last_seq`, both included), in order."""
    table, vault = tables.events, vault_of(connection)
    query = logged().where(table.c.tenant == tenant, table.c.world == world, table.c.seq >= first_seq)
    if last_seq is not None:
        query = query.where(table.c.seq <= last_seq)
    for row in connection.execute(query.order_by(table.c.seq).execution_options(yield_per=ROWS_PER_FETCH)):
        yield event_of(row, vault)


def event_rows(connection: Connection, tenant: str, world: str, after_seq: int, rows_max: int) -> Sequence[Any]:
    """Up to `rows_max` rows, for `event_of`, of the events that follow `after_seq`, in order."""
    table = tables.events
    query = logged().where(table.c.tenant == tenant, table.c.world == world, table.c.seq > after_seq)
    return connection.execute(query.order_by(table.c.seq).limit(rows_max)).all()


def newest_seq(connection: Connection, tenant: str, world: str) -> int:
    """The world's newest event; 0 when it has none."""
    table = tables.events
    query = select(func.max(table.c.seq)).where(table.c.tenant == tenant, table.c.world == world)
    return int(connection.execute(query).scalar() or 0)


def event_of(row: Any, vault: Vault) -> Event:
    """The event in a row of `event_rows`, whole as far as its keys are there."""
    change = change_of(row, vault)
    return Event(seq=row.seq, id=row.id, wall_ms=row.wall_ms, game_s=row.game_s, change=change)


def newest_keys(connection: Connection, tenant: str, world: str, keys_max: int) -> list[tuple[str, int, int, bytes]]:
    """(key, first seq, last seq, digest of the request) of the newest idempotent calls, oldest first."""
    table = tables.idempotency
    query = (
        select(table.c.key, table.c.first_seq, table.c.last_seq, table.c.request)
        .where(table.c.tenant == tenant, table.c.world == world)
        .order_by(table.c.last_seq.desc())
        .limit(keys_max)
    )
    return [(row.key, row.first_seq, row.last_seq, row.request or b"") for row in connection.execute(query)][::-1]


def keyed_calls(
    connection: Connection, keys: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], tuple[int, int, bytes]]:
    """(tenant, world, key) -> (first seq, last seq, digest of the request), of those keys that had a call."""
    table = tables.idempotency
    of = tuple_(table.c.tenant, table.c.world, table.c.key).in_(keys)
    return {
        (row.tenant, row.world, row.key): (row.first_seq, row.last_seq, row.request or b"")
        for row in connection.execute(select(table).where(of))
    }


def tenant_ids(connection: Connection) -> list[str]:
    return list(connection.execute(select(tables.tenants.c.id).order_by(tables.tenants.c.id)).scalars())

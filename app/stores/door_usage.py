"""What models have cost at the doors, where no world's log holds it: kept in RAM, written down a few times a second.

Each process writes totals of its own that only grow, so writing one twice, late or in another order changes nothing.
It knows no player: what is told of people lies in the log of their world.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.core.clock import Clock
from app.core.errors import StoreDown
from app.core.ports import Log
from app.core.spending import Amount
from app.stores import repositories, tables
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT
from app.stores.usage import spent
from app.world.usage import Table, Used, day_name, day_of, row_key

COUNTS = Used.__struct_fields__
WRITER_BYTES = 8
CLOSE_TRIES_MAX = 3
OUTSIDE = ""
"""Stands where a world would: what was spent for none."""


class Spot(NamedTuple):
    """What one row counts."""

    tenant: str
    world: str
    day: str
    engine: str


def write(connection: Connection, tenant: str, writer: str, rows: Iterable[tuple[Spot, Used]]) -> None:
    """Keep the totals of one writer; those that are there and larger stay."""
    table = tables.door_usage
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for spot, used in rows:
        counts = {name: getattr(used, name) for name in COUNTS}
        place = {"tenant": tenant, "world": spot.world, "day": spot.day, "engine": spot.engine, "writer": writer}
        put = make(table).values(**place, **counts)
        newer = {name: put.excluded[name] for name in COUNTS}
        connection.execute(
            put.on_conflict_do_update(
                index_elements=list(table.primary_key), set_=newer, where=table.c.calls < put.excluded.calls
            )
        )


def read(connection: Connection, tenant: str) -> dict[str, Table]:
    """World (OUTSIDE for none) -> what was used, by day and engine."""
    table = tables.door_usage
    sums = [func.sum(table.c[name]).label(name) for name in COUNTS]
    place = (table.c.world, table.c.day, table.c.engine)
    query = select(*place, *sums).where(table.c.tenant == tenant).group_by(*place).order_by(*place)
    found: dict[str, Table] = {}
    for row in connection.execute(query):
        used = Used(**{name: int(getattr(row, name)) for name in COUNTS})
        found.setdefault(row.world, {}).setdefault(row.day, {})[row_key("", "", row.engine)] = used
    return found


class DoorUsage:
    """Adds up what is spent, owns the task that writes it, and tells what is known of it."""

    def __init__(self, database: Database, *, clock: Clock, log: Log, interval_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._log = log
        self._interval_s = interval_ms / 1000.0
        self._writer = secrets.token_hex(WRITER_BYTES)
        self._totals: dict[Spot, Used] = {}
        self._dirty: set[Spot] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._known: dict[str, dict[str, Table]] = {}
        self.written: list[Callable[[str], None]] = []
        """Told the tenant of which more was written, here or by another replica."""

    async def start(self) -> None:
        """Know what was spent before, and begin to write; raises StoreDown."""
        for tenant in await self._database.run(EVERY_TENANT, repositories.tenant_ids):
            self._known[tenant] = await self._database.run(tenant, partial(read, tenant=tenant))
        self._task = asyncio.create_task(self._run(), name="door usage")

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _ in range(CLOSE_TRIES_MAX):
            if await self._flush():
                return
        self._log.error("bill.dropped", rows=len(self._dirty), reason="the database does not take them")

    @property
    def tenants(self) -> list[str]:
        """Of whom something is known."""
        return list(self._known)

    def add(self, tenant: str, world: str, engine: str, used: Used) -> None:
        """Count what one engine has cost for one request; never waits."""
        spot = Spot(tenant, world, day_name(day_of(self._clock.wall_ms())), engine)
        self._totals[spot] = self._totals.get(spot, Used()).plus(used)
        self._dirty.add(spot)
        self._wake.set()

    def spent(self, tenant: str, world: str) -> Iterator[tuple[int, str, str, Amount]]:
        """What is written of a world, or of none, as app.core.spending.Budgets takes it."""
        return spent(self._known.get(tenant, {}).get(world, {}))

    async def of(self, tenant: str) -> dict[str, Table]:
        """As `read`, with what this process has not written yet; raises StoreDown."""
        await self._flush()
        return await self._database.run(tenant, partial(read, tenant=tenant))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self._interval_s)
            if not await self._flush():
                self._wake.set()

    async def _flush(self) -> bool:
        """Write what has grown; False when the database did not take all of it. A cancel leaves what waits as it is."""
        by_tenant: dict[str, list[tuple[Spot, Used]]] = {}
        for spot in self._dirty:
            by_tenant.setdefault(spot.tenant, []).append((spot, self._totals[spot]))
        for tenant, rows in by_tenant.items():
            try:
                work = partial(_write_and_read, tenant=tenant, writer=self._writer, rows=rows)
                self._known[tenant] = await self._database.run(tenant, work)
            except StoreDown as error:
                if not self._failing:
                    self._log.warning("bill.waits", tenant=tenant, reason=error.message)
                self._failing = True
            else:
                self._failing = False
                self._dirty -= {spot for spot, used in rows if self._totals.get(spot) in (None, used)}
                for tell in self.written:
                    tell(tenant)
        self._forget()
        return not self._dirty

    def _forget(self) -> None:
        """Drop the totals of days that are over, once they are written."""
        today = day_name(day_of(self._clock.wall_ms()))
        self._totals = {spot: used for spot, used in self._totals.items() if spot.day >= today or spot in self._dirty}


def _write_and_read(
    connection: Connection, tenant: str, writer: str, rows: Iterable[tuple[Spot, Used]]
) -> dict[str, Table]:
    write(connection, tenant, writer, rows)
    return read(connection, tenant)

"""What was spent at the doors, on each database: told by several processes, and still there after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.core.clock import SystemClock
from app.core.errors import StoreDown
from app.stores.database import Database
from app.stores.door_usage import OUTSIDE, DoorUsage
from app.stores.tenant_settings import create_tenant
from app.world.usage import Table, Used
from tests.doubles import SilentLog
from tests.stores.conftest import Opener

CALL = Used(calls=1, tokens_in=100, tokens_out=11, cost_nano_usd=2_000)


@asynccontextmanager
async def process(database: Database) -> AsyncIterator[DoorUsage]:
    usage = DoorUsage(database, clock=SystemClock(), log=SilentLog(), interval_ms=5)
    await usage.start()
    try:
        yield usage
    finally:
        await usage.close()


def total(tables: dict[str, Table], world: str, engine: str) -> Used:
    found = Used()
    for rows in tables.get(world, {}).values():
        for key, used in rows.items():
            if engine in key:
                found = found.plus(used)
    return found


async def test_what_two_processes_spent_is_one_sum_and_survives_both(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database) as one, process(store.database) as other:
            for usage, calls in ((one, 3), (other, 4)):
                for _ in range(calls):
                    usage.add("t", OUTSIDE, "openai", CALL)
            one.add("t", "w", "llama", CALL)
            one.add("someone else", OUTSIDE, "openai", CALL)
            await other.of("t")
        async with process(store.database) as later:
            known = await later.of("t")
            later.add("t", OUTSIDE, "openai", CALL)
            grown = await later.of("t")
            stranger = await later.of("nobody")
    assert total(known, OUTSIDE, "openai") == Used(calls=7, tokens_in=700, tokens_out=77, cost_nano_usd=14_000)
    assert total(known, "w", "llama") == CALL
    assert total(grown, OUTSIDE, "openai").calls == 8
    assert stranger == {}


async def test_budgets_are_told_after_a_restart_what_was_spent_before(opened: Opener) -> None:
    async with opened() as store:
        await store.database.run("t", lambda connection: create_tenant(connection, "t", "T", 1) and None)
        async with process(store.database) as usage:
            usage.add("t", OUTSIDE, "openai", CALL)
        async with process(store.database) as later:
            spent = [amount for _, _, _, amount in later.spent("t", OUTSIDE)]
    assert sum(amount.nano_usd for amount in spent) == 2_000
    assert sum(amount.tokens for amount in spent) == 111


async def test_what_a_database_does_not_take_waits_and_is_written_once(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as store:
        run = store.database.run

        async def down(*_args: object, **_kwargs: object) -> None:
            raise StoreDown("the database is away")

        async with process(store.database) as usage:
            monkeypatch.setattr(store.database, "run", down)
            usage.add("t", OUTSIDE, "openai", CALL)
            with pytest.raises(StoreDown):
                await usage.of("t")
            monkeypatch.setattr(store.database, "run", run)
            known = await usage.of("t")
    assert total(known, OUTSIDE, "openai") == CALL

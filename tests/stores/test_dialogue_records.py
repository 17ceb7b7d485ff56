"""The records behind lines, on each database: kept across a restart, sealed, bounded, and gone with a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from app.core.clock import SystemClock
from app.core.dialogue_records import Sheet
from app.stores import dialogue_records, tables
from app.stores.database import Database
from app.stores.dialogue_records import DatabaseRecords
from app.stores.retention import DAY_MS
from app.stores.tenancy import EVERY_TENANT
from tests.doubles import SilentLog
from tests.stores.conftest import Opener

SAID = b"I buried the silver under the third oak."


def sheet(*persons: str, body: bytes = SAID) -> Callable[[], Sheet]:
    return lambda: Sheet(frozenset(persons), body)


@asynccontextmanager
async def process(database: Database, *, queue_max: int = 100, interval_ms: int = 5) -> AsyncIterator[DatabaseRecords]:
    records = DatabaseRecords(
        database, clock=SystemClock(), log=SilentLog(), queue_max=queue_max, interval_ms=interval_ms
    )
    records.start()
    try:
        yield records
    finally:
        await records.close()


async def rows(database: Database) -> tuple[int, int]:
    both = (tables.dialogue_records, tables.dialogue_record_persons)
    counts = [select(func.count()).select_from(one) for one in both]
    first, second = [await database.run(EVERY_TENANT, lambda c, q=q: c.execute(q).scalar()) for q in counts]
    return int(first or 0), int(second or 0)


async def test_a_record_is_found_while_it_waits_and_after_a_restart_and_only_in_its_world(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database, interval_ms=10_000) as records:
            records.keep("t", "w", "line-1", sheet("robin"))
            assert await records.find("t", "w", "line-1") == SAID
            assert await rows(store.database) == (0, 0)
        async with process(store.database) as later:
            assert await later.find("t", "w", "line-1") == SAID
            assert await later.find("t", "other", "line-1") is None
            assert await later.find("someone else", "w", "line-1") is None


async def test_what_was_said_lies_sealed_in_the_database(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database) as records:
            records.keep("t", "w", "line-1", sheet("robin"))
        query = select(tables.dialogue_records.c.body)
        body = bytes(await store.database.run("t", lambda c: c.execute(query).scalar()) or b"")
        assert body
        assert b"silver" not in body


async def test_an_erasure_takes_every_record_about_the_person_and_no_other(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database) as records:
            records.keep("t", "w", "hers", sheet("robin"))
            records.keep("t", "w", "theirs", sheet("robin", "sly"))
            records.keep("t", "w", "his", sheet("sly"))
            records.keep("t", "elsewhere", "namesake", sheet("robin"))
        gone = await store.database.run("t", lambda c: dialogue_records.erase(c, "t", "w", "robin"))
        assert gone == 2
        assert await rows(store.database) == (2, 2)


async def test_what_waits_when_a_person_is_forgotten_is_never_written(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database, interval_ms=10_000) as records:
            records.keep("t", "w", "hers", sheet("robin"))
            records.keep("t", "elsewhere", "other", sheet("sly"))
            records.forget("t", "w")
        assert await rows(store.database) == (1, 1)


async def test_a_full_queue_drops_the_oldest_and_never_waits(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database, queue_max=3, interval_ms=10_000) as records:
            for n in range(5):
                records.keep("t", "w", f"line-{n}", sheet("robin"))
            assert await records.find("t", "w", "line-1") is None
        assert await rows(store.database) == (3, 3)


async def test_records_are_written_without_anybody_waiting(opened: Opener) -> None:
    async with opened() as store, process(store.database) as records:
        for n in range(90):
            records.keep("t", "w", f"line-{n}", sheet("robin"))
        for _ in range(2_000):
            if await rows(store.database) == (90, 90):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("they were never written")


async def test_old_records_go(opened: Opener) -> None:
    async with opened() as store:
        async with process(store.database) as records:
            records.keep("t", "w", "line-1", sheet("robin"))
        now_ms = SystemClock().wall_ms()
        kept = [
            await store.database.run("t", lambda c, at=at: dialogue_records.forget(c, "t", at))
            for at in (now_ms - DAY_MS, now_ms + DAY_MS)
        ]
        assert kept == [0, 1]
        assert await rows(store.database) == (0, 0)

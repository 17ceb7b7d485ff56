"""The live store over real databases: level with the log after restarts, kills, gaps and faults of the disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.core.clock import SystemClock
from app.core.errors import Conflict, StoreDown
from app.core.messages import Event
from app.core.ports import Values
from app.stores import repositories
from app.stores.features import view as views
from app.stores.features.history import History, folder_of
from app.stores.features.live import FeatureStore
from app.stores.features.packed import PackedFeatures, RamValues
from app.stores.tenancy import EVERY_TENANT
from app.world.events import Happened, RelationChanged
from tests.doubles import SilentLog
from tests.stores.conftest import Opener, Store
from tests.stores.features import stage
from tests.stores.features.stage import PEOPLE

PATIENCE_S = 10.0
TALK = Happened(verb="talked", actor="ann", target="mara")
Live = Callable[..., AbstractAsyncContextManager[FeatureStore]]


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """A feature store over a journal's store; `kill` leaves it as a power cut would."""

    @asynccontextmanager
    async def open_live(store: Store, *, kill: bool = False, **options: Any) -> AsyncIterator[FeatureStore]:
        limits = {"history": False, "queue_events_max": 1000, "rows_max": 1000, "keep_ms": 60_000, **options}
        features = FeatureStore(
            PEOPLE, database=store.database, root=tmp_path, clock=SystemClock(), log=SilentLog(), **limits
        )
        stream = store.journal._stream  # the subscription that the composition root makes
        features.open(store.worlds)
        stream.subscribe(features.take)
        try:
            yield features
        finally:
            stream._subscribers.remove(features.take)
            if kill and features._task is not None:
                features._task.cancel()
            await features.close(patience_s=5.0)

    return open_live


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # what is waited for is the store's own, and it tells nobody
            await asyncio.sleep(0.005)


async def until_level(features: FeatureStore, store: Store) -> None:
    await until(lambda: ("t", "w") in features._projections)
    await until(lambda: features.seq("t", "w") == store.world().state.seq)


async def people(store: Store) -> None:
    await store.journal.create_world("t", "w")
    await store.journal.append("t", "w", [stage.arrive(id) for id in stage.EVERYONE])


async def logged(store: Store) -> list[Event]:
    return await store.database.run(EVERY_TENANT, lambda c: list(repositories.events_between(c, "t", "w", 1)))


async def assert_equal_to_replay(features: FeatureStore, store: Store) -> None:
    """The vectors are, to the byte, those of the log folded from its first event."""
    await until_level(features, store)
    assert features._projections["t", "w"].table.dump() == stage.folded(PEOPLE, await logged(store)).dump()


def history_of(tmp_path: Path) -> list[tuple[Any, ...]]:
    files = History(folder_of(tmp_path, "t", "w", PEOPLE), PEOPLE).files()
    tables = [pq.read_table(path) for path in files]
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def expected_history(events: Sequence[Event]) -> list[tuple[Any, ...]]:
    return [(*row[:-1], *row.slots.tolist()) for row in stage.history_rows(PEOPLE, events)]


async def test_events_become_vectors_while_the_server_runs(opened: Opener, live: Live) -> None:
    async with opened() as store, live(store) as features:
        await people(store)
        await store.journal.append("t", "w", [TALK, TALK], game_s=50.0)
        await until_level(features, store)
        vectors = await features.read("t", "w", "player", ["ann", "ben", "nobody"], now_s=50.0)
        assert list(vectors[:2, features.names.index("talks_1h")]) == [2.0, 0.0]
        assert np.isnan(vectors[2]).all()
        handles = np.array([store.world().state.handles["mara"]], np.uint32)
        assert features.gather("t", "w", handles, now_s=50.0)[0, features.names.index("talked_to_1h")] == 2.0


async def test_a_restart_and_a_kill_give_the_same_bytes_as_the_log(opened: Opener, live: Live) -> None:
    async with opened() as store:
        async with live(store):
            await people(store)
        for kill in (False, True, True, False):
            async with live(store, kill=kill) as features:
                await store.journal.append("t", "w", [TALK, RelationChanged(npc="mara", other="ann", delta=0.1)])
                await assert_equal_to_replay(features, store)
        async with live(store) as features:
            await assert_equal_to_replay(features, store)


async def test_what_the_queue_cannot_hold_comes_from_the_log(opened: Opener, live: Live) -> None:
    async with opened() as store, live(store, queue_events_max=5) as features:
        await people(store)
        await asyncio.gather(*(store.journal.append("t", "w", [TALK] * 7) for _ in range(20)))
        await assert_equal_to_replay(features, store)
        assert max(len(queue) for queue in features._queues.values()) <= 5


@pytest.mark.parametrize("kill", [False, True])
async def test_history_holds_each_row_once_over_restarts(
    opened: Opener, live: Live, tmp_path: Path, kill: bool
) -> None:
    async with opened() as store:
        async with live(store, history=True, kill=kill):
            await people(store)
            await store.journal.append("t", "w", [TALK] * 5)
        async with live(store, history=True, keep_ms=20, kill=kill) as features:
            for _ in range(5):
                await store.journal.append("t", "w", [TALK] * 5)
                await asyncio.sleep(0.03)
            await until_level(features, store)
        async with live(store, history=False) as features:
            await store.journal.append("t", "w", [TALK] * 5)
            await until_level(features, store)
        async with live(store, history=True) as features:
            await until_level(features, store)
        assert history_of(tmp_path) == expected_history(await logged(store))


async def test_a_full_disk_pauses_history_and_loses_nothing(
    opened: Opener, live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    async with opened() as store:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", full)
            async with live(store, history=True, rows_max=20, keep_ms=10) as features:
                await people(store)
                for _ in range(10):
                    await store.journal.append("t", "w", [TALK] * 5)
                    await asyncio.sleep(0.02)
                await assert_equal_to_replay(features, store)
                assert "No space left" in features.fault or "lacks rows" in features.fault
                assert len(features._projections["t", "w"].rows) <= 20
        async with live(store, history=True) as features:
            await until_level(features, store)
            assert features.fault == ""
        assert history_of(tmp_path) == expected_history(await logged(store))


async def test_a_history_that_another_writes_refuses_the_start(opened: Opener, live: Live, tmp_path: Path) -> None:
    async with opened() as store:
        await people(store)
        other = History(folder_of(tmp_path, "t", "w", PEOPLE), PEOPLE)
        other.lock()
        with pytest.raises(Conflict):
            async with live(store, history=True):
                pass
        other.unlock()


async def test_a_damaged_saved_table_is_made_again_from_the_log(opened: Opener, live: Live, tmp_path: Path) -> None:
    async with opened() as store:
        async with live(store):
            await people(store)
        saved = folder_of(tmp_path, "t", "w", PEOPLE) / "online.bin"
        saved.write_bytes(saved.read_bytes()[:100])
        async with live(store) as features:
            await assert_equal_to_replay(features, store)


class Flaky:
    """A shared server that is gone for a while."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.gone = False

    async def get_many(self, tenant: str, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self.values.get_many(tenant, keys)

    async def set_many(self, tenant: str, values: Mapping[str, bytes]) -> None:
        if self.gone:
            raise StoreDown("the cache is gone")
        await self.values.set_many(tenant, values)


async def test_a_replica_reads_the_owners_vectors_once_the_server_is_back(opened: Opener, live: Live) -> None:
    shared = Flaky(RamValues(entries_max=1000))
    replica = PackedFeatures(views.load("people"), shared)
    async with opened() as store, live(store, values=shared) as features:
        await people(store)
        await until_level(features, store)
        shared.gone = True
        await store.journal.append("t", "w", [TALK], game_s=9.0)
        await until(lambda: bool(features.fault))
        shared.gone = False
        await until(lambda: not features.fault)
        for kind, ids in (("npc", stage.NPCS), ("player", stage.PLAYERS)):
            own, seen = [await one.read("t", "w", kind, ids, now_s=99.0) for one in (features, replica)]
            np.testing.assert_array_equal(own, seen)

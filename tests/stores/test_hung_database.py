"""A database that hangs, dies or comes back: it is named, nobody waits long, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.errors import StoreDown
from app.stores import repositories
from app.stores.cluster import Cluster, find_tools, private_cluster
from app.stores.database import open_database
from app.stores.tenancy import EVERY_TENANT
from app.stores.watch import Limits
from app.world.entities import Npc
from app.world.events import EntityUpserted
from tests.doubles import SilentLog
from tests.stores.conftest import MIGRATIONS, Opener, Store

WATCHED = Limits(answer_ms=1_000, transaction_ms=2_000)
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with private_cluster(find_tools("initdb")) as made:
        made.create()
        made.start()
        yield made


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    """An empty database on the server that this module may stop and kill."""
    if cluster.process is None:
        cluster.start()
    name = f"test_{time.monotonic_ns()}"
    cluster.tools.run("createdb", ["-h", str(cluster.folder), "-U", "postgres", name])
    yield cluster.url(name)
    for pid in cluster.pids():
        with suppress(ProcessLookupError):  # a backend may end at any moment
            os.kill(pid, signal.SIGCONT)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


def stop(cluster: Cluster) -> None:
    for pid in cluster.pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def go_on(cluster: Cluster) -> None:
    for pid in cluster.pids():
        os.kill(pid, signal.SIGCONT)


def npc(id: str) -> EntityUpserted:
    return EntityUpserted(entity=Npc(id=id))


async def written(store: Store) -> list[str]:
    """The ids of the entities in the log, in order."""
    rows = await store.database.run(EVERY_TENANT, lambda c: list(repositories.events_between(c, "t", "w", 1)))
    return [event.change.entity.id for event in rows if isinstance(event.change, EntityUpserted)]


async def test_a_hung_postgres_is_noticed_though_nobody_asks_it_and_is_found_again(
    opened: Opener, cluster: Cluster
) -> None:
    async with opened(watched=WATCHED) as store:
        await store.database.run(EVERY_TENANT, lambda c: c.execute(text("SELECT 1")))
        stop(cluster)
        await until(lambda: store.database.fault)
        with pytest.raises(StoreDown) as told:
            await store.database.run(EVERY_TENANT, lambda c: c.execute(text("SELECT 1")))
        assert told.value.retry_after_s
        go_on(cluster)
        await until(lambda: not store.database.fault)
        await store.database.run(EVERY_TENANT, lambda c: c.execute(text("SELECT 1")))


async def test_work_that_a_hung_postgres_holds_ends_however_long_it_may_take(opened: Opener, cluster: Cluster) -> None:
    async with opened(watched=WATCHED) as store:
        held = [
            asyncio.ensure_future(run(EVERY_TENANT, lambda c: c.execute(text("SELECT pg_sleep(0.1)"))))
            for run in (store.database.run, store.database.run_long)
        ]
        await asyncio.sleep(0.02)
        stop(cluster)
        for one in held:
            with pytest.raises(StoreDown):
                await asyncio.wait_for(one, PATIENCE_S)
        go_on(cluster)


async def test_a_write_bridges_the_restart_of_postgres(opened: Opener, cluster: Cluster) -> None:
    async with opened(watched=WATCHED, bridge_ms=60_000) as store:
        await store.journal.create_world("t", "w")
        cluster.kill()
        await until(lambda: store.database.fault)
        write = asyncio.ensure_future(store.journal.append("t", "w", [npc("a")]))
        await until(lambda: store.writer.fault)
        assert not write.done()
        cluster.start()
        await asyncio.wait_for(write, PATIENCE_S)
        assert await written(store) == ["a"]
        await until(lambda: not store.writer.fault)


async def test_a_long_outage_is_told_and_what_was_queued_lands_after_it(opened: Opener, cluster: Cluster) -> None:
    async with opened(watched=WATCHED, bridge_ms=100) as store:
        await store.journal.create_world("t", "w")
        cluster.kill()
        with pytest.raises(StoreDown) as told:
            await store.journal.append("t", "w", [npc("a")], key="k")
        assert told.value.retry_after_s
        with pytest.raises(StoreDown):
            await store.journal.append("t", "w", [npc("b")])
        assert list(store.world().state.npcs) == ["a"], "what is refused is not applied either"
        cluster.start()
        await until(lambda: not store.writer.fault)
        await until(lambda: store.told)
        assert len(await store.journal.append("t", "w", [npc("a")], key="k")) == 1
        assert await written(store) == ["a"]


async def test_a_commit_that_comes_after_it_was_given_up_counts_once(opened: Opener, url: str, tmp_path: Path) -> None:
    """The first try commits while the second waits for its row; then the second fails and the third sees it."""
    async with opened(watched=Limits(answer_ms=10_000, transaction_ms=300)) as store:
        await store.journal.create_world("t", "w")
        owner = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
        await owner.run(EVERY_TENANT, _slow_first_commit)
        await owner.close()
        await asyncio.wait_for(store.journal.append("t", "w", [npc("a")]), PATIENCE_S)
        await asyncio.wait_for(store.journal.append("t", "w", [npc("b")]), PATIENCE_S)
        assert await written(store) == ["a", "b"]


def _slow_first_commit(connection: object) -> None:
    """Let the first commit into `events` take a second on the server, whatever becomes of its client."""
    for statement in (
        "CREATE SEQUENCE commits",
        "GRANT USAGE ON SEQUENCE commits TO innkeeper_app",
        "CREATE FUNCTION wait_once() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF nextval('commits') = 1 THEN PERFORM pg_sleep(1); END IF; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION wait_once()",
    ):
        connection.execute(text(statement))  # type: ignore[attr-defined]  # the test's own work


async def test_a_process_that_was_stopped_itself_blames_nobody(opened: Opener) -> None:
    async with opened(watched=WATCHED) as store:
        await asyncio.sleep(0.5)
        time.sleep(2.0)  # noqa: ASYNC251  # the stall is the test
        for _ in range(20):
            await asyncio.sleep(0.02)
            assert store.database.fault == ""


async def test_a_hung_disk_under_sqlite_lets_its_callers_go_and_is_found_again(tmp_path: Path) -> None:
    database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
    database.watch(limits=WATCHED, log=SilentLog())
    await database.upgrade()
    disk = threading.Event()
    with pytest.raises(StoreDown):
        await asyncio.wait_for(database.run(EVERY_TENANT, lambda _c: disk.wait(PATIENCE_S)), PATIENCE_S)
    assert database.fault
    with pytest.raises(StoreDown):
        await database.run(EVERY_TENANT, lambda _c: None)
    disk.set()
    await until(lambda: not database.fault)
    assert await database.run(EVERY_TENANT, lambda c: c.execute(text("SELECT 7")).scalar()) == 7
    await database.close()


async def test_long_work_in_sqlite_is_no_fault_and_those_behind_it_wait(tmp_path: Path) -> None:
    database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
    database.watch(limits=Limits(answer_ms=200, transaction_ms=1_000), log=SilentLog())
    await database.upgrade()
    long = asyncio.ensure_future(database.run_long(EVERY_TENANT, lambda _c: time.sleep(1.5)))
    behind = asyncio.ensure_future(database.run(EVERY_TENANT, lambda c: c.execute(text("SELECT 7")).scalar()))
    await asyncio.sleep(1.2)
    assert database.fault == ""
    await long
    assert await behind == 7
    await database.close()

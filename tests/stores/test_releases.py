"""The release before this one, its real server, on this release's schema, before, while and after it is upgraded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from app.build.access import DEFAULT_TENANT
from app.core.errors import Invalid
from app.stores import repositories, tables
from app.stores.bringup import bring_up, current_revision
from app.stores.database import open_database
from app.stores.replay import check_world
from app.stores.tables import OLDEST_REVISION, SCHEMA_REVISION
from app.stores.tenancy import EVERY_TENANT
from app.world.events import Happened
from tests.servers import ROOT, Server, start
from tests.stores.conftest import MIGRATIONS

ARCHIVES = Path(__file__).parent / "releases"
PREVIOUS = "0001"
OFTEN = ("--set", "database.checkpoint_events=1", "--set", "database.checkpoint_ms=50")
"""This release leaves checkpoints that the one before it does not know."""
QUICK = {"NUMBA_DISABLE_JIT": "1"}
"""Nobody asks for a path here, so nobody waits for the kernels of another folder to be compiled."""


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the previous release's code."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(ARCHIVES / f"{PREVIOUS}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


class Studio:
    """One database, served by one release after another, and a ledger of what was acknowledged."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.ledger: dict[str, int] = {}
        folder.mkdir(exist_ok=True)

    @contextmanager
    def served_by(self, release: Path) -> Iterator[Server]:
        settings = ("--set", f"database.url={self.url}", *(OFTEN if release == ROOT else ()))
        server = start(self.folder, *settings, environment=QUICK, release=release)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.kill()

    def write(self, server: Server, key: str) -> None:
        """Post an event under the key and note its place; the same key must keep its place."""
        events = [{"verb": "learned", "actor": "a", "topic": key}]
        status, answer = server.post("/v1/world/event", {"world": "w", "events": events, "key": key})
        assert status == 200, answer
        assert self.ledger.setdefault(key, answer["seq"]) == answer["seq"]

    def begin(self, server: Server) -> None:
        assert server.post("/v1/world/create", {"world": "w"})[0] == 200
        assert server.post("/v1/world/upsert", {"world": "w", "entities": [{"type": "npc", "id": "a"}]})[0] == 200

    async def await_parts(self) -> None:
        """Wait until this release's own kind of checkpoint is there."""
        database = open_database(self.url, folder=self.folder, migrations=MIGRATIONS)
        query = select(func.count()).select_from(tables.sealed_checkpoints)
        async with asyncio.timeout(20):
            while not await database.run(EVERY_TENANT, lambda c: c.execute(query).scalar_one()):  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.02)
        await database.close()

    async def prove(self) -> None:
        """Everything acknowledged is in the log once, and the log gives the state that was kept."""
        database = open_database(self.url, folder=self.folder, migrations=MIGRATIONS)
        events = await database.run(
            EVERY_TENANT, lambda c: list(repositories.events_between(c, DEFAULT_TENANT, "w", 1))
        )
        told = [(event.change.topic, event.seq) for event in events if isinstance(event.change, Happened)]
        assert Counter(topic for topic, _ in told) == Counter(self.ledger.keys())
        assert dict(told) == self.ledger
        assert (
            await database.run(EVERY_TENANT, lambda c: check_world(c, DEFAULT_TENANT, "w", lambda _steps: None))
        ).faults == ()
        assert await database.run(EVERY_TENANT, current_revision) == SCHEMA_REVISION
        await database.close()


@pytest.fixture
def studio(tmp_path: Path, url: str) -> Studio:
    return Studio(tmp_path / "data", url)


def test_the_archive_is_of_a_release_that_this_schema_supports() -> None:
    assert OLDEST_REVISION <= PREVIOUS < SCHEMA_REVISION


async def test_the_previous_release_works_on_the_schema_of_this_one(studio: Studio, previous: Path) -> None:
    with studio.served_by(ROOT) as server:
        studio.begin(server)
        studio.write(server, "new-1")
        assert server.stop() == 0
    with studio.served_by(ROOT) as server:
        studio.write(server, "new-1")
        for number in range(20):
            studio.write(server, f"new-1-{number}")
        await studio.await_parts()
        server.kill()
    with studio.served_by(previous) as server:
        studio.write(server, "new-1")
        studio.write(server, "old-1")
        server.kill()
    with studio.served_by(previous) as server:
        studio.write(server, "old-1")
        studio.write(server, "old-2")
        assert server.stop() == 0
    with studio.served_by(ROOT) as server:
        for key in ("new-1", "old-1", "old-2", "new-2"):
            studio.write(server, key)
        server.kill()
    await studio.prove()


async def test_an_upgrade_beside_a_running_server_disturbs_no_write(studio: Studio, previous: Path) -> None:
    with studio.served_by(previous) as server:
        studio.begin(server)
        finish, failures = threading.Event(), list[str]()

        def write_on(writer: int) -> None:
            number = 0
            while not finish.is_set():
                try:
                    studio.write(server, f"{writer}-{number}")
                except (AssertionError, OSError, HTTPException) as error:
                    failures.append(repr(error))
                number += 1

        writers = [threading.Thread(target=write_on, args=(number,)) for number in range(3)]
        for thread in writers:
            thread.start()
        _await_writes(studio, 20)
        assert _upgrade(studio.url) == f"schema {PREVIOUS} -> {SCHEMA_REVISION}"
        _await_writes(studio, 20)
        finish.set()
        for thread in writers:
            thread.join()
        assert failures == []
        assert server.stop() == 0
    with studio.served_by(ROOT) as server:
        for key in list(studio.ledger)[-5:]:
            studio.write(server, key)
        studio.write(server, "new")
        assert server.stop() == 0
    await studio.prove()


def _upgrade(url: str) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), "db", "upgrade", "--set", f"database.url={url}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _await_writes(studio: Studio, more: int) -> None:
    wanted, tick = len(studio.ledger) + more, threading.Event()
    for _ in range(1_000):
        if len(studio.ledger) >= wanted:
            return
        tick.wait(0.02)
    raise AssertionError(f"{len(studio.ledger)} writes where {wanted} were due")


async def test_a_schema_that_no_longer_works_with_this_release_names_both_and_is_left_alone(
    tmp_path: Path, url: str
) -> None:
    database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await database.upgrade()
    owner = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await owner.run(EVERY_TENANT, lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9002'")) and None)
    await database.upgrade()
    await owner.run(EVERY_TENANT, lambda c: c.execute(text("UPDATE schema_support SET oldest = '9001'")) and None)
    with pytest.raises(Invalid, match=f"'9002'.*'9001'.*'{SCHEMA_REVISION}'"):
        await database.upgrade()
    with pytest.raises(Invalid):
        await owner.run(EVERY_TENANT, lambda connection: bring_up(connection, MIGRATIONS))
    assert await owner.run(EVERY_TENANT, current_revision) == "9002"
    for one in (database, owner):
        await one.close()

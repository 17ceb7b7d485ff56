"""A physical backup and the archived log bring PostgreSQL back to the moment that is asked for, and to the last one."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.errors import Conflict, Invalid, StoreDown
from app.stores import repositories
from app.stores.backup import take, verify
from app.stores.cluster import Cluster, find_tools, give_away, private_cluster
from app.stores.database import Database, open_database
from app.stores.restore import restore_base
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import MIGRATIONS

SETTINGS = {"wal_level": "replica", "max_wal_senders": "4"}


@contextmanager
def archived(cluster: Cluster) -> Iterator[Path]:
    """The folder that receives the cluster's log as it is written."""
    folder = Path(tempfile.mkdtemp(prefix="innkeeper-wal-"))
    give_away(folder)
    arguments = [f"--directory={folder}", f"--host={cluster.folder}", "--username=postgres", "--synchronous"]
    receiver = cluster.tools.popen("pg_receivewal", arguments, log=cluster.folder / "receive.log")
    try:
        yield folder
    finally:
        receiver.terminate()
        receiver.wait()
        shutil.rmtree(folder)


async def worlds_of(cluster: Cluster, tmp_path: Path) -> list[str]:
    database = open_database(cluster.url(), folder=tmp_path, migrations=MIGRATIONS)
    try:
        return [id for _, id in await database.run(EVERY_TENANT, repositories.world_ids)]
    finally:
        await database.close()


async def add_world(database: Database, id: str) -> None:
    await database.run(EVERY_TENANT, lambda c: repositories.insert_world(c, "t", id, 0))


async def received(database: Database) -> None:
    """Wait until the archive has all that was committed."""
    level = text("SELECT coalesce(bool_and(flush_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication")
    async with asyncio.timeout(30):
        while not await database.run(EVERY_TENANT, lambda c: c.execute(level).scalar()):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)


async def test_a_server_comes_back_to_a_point_in_time_and_to_its_end(tmp_path: Path) -> None:
    with private_cluster(find_tools("pg_receivewal"), settings=SETTINGS) as cluster:
        cluster.create()
        cluster.start()
        database = open_database(cluster.url(), folder=tmp_path, migrations=MIGRATIONS)
        await database.upgrade()
        with archived(cluster) as archive:
            await add_world(database, "before the backup")
            await take(database, cluster.url(), tmp_path / "copy", physical=True)
            await add_world(database, "early")
            await asyncio.sleep(0.3)
            point = datetime.now(UTC)
            await asyncio.sleep(0.3)
            await add_world(database, "late")
            await database.close()
            owner = open_database(cluster.url(), folder=tmp_path, migrations=MIGRATIONS)
            await received(owner)
            await owner.close()
            cluster.kill()
            found = {}
            for name, until in (("end", None), ("point", point)):
                with private_cluster(cluster.tools, settings=SETTINGS) as other:
                    restore_base(tmp_path / "copy", other.data, archive=archive, until=until)
                    give_away(other.data)
                    await asyncio.to_thread(other.start)
                    found[name] = await worlds_of(other, tmp_path)
    assert found["end"] == ["before the backup", "early", "late"]
    assert found["point"] == ["before the backup", "early"]
    await asyncio.to_thread(verify, tmp_path / "copy", lambda _steps: None)
    refuse_what_is_wrong(tmp_path)


def refuse_what_is_wrong(tmp_path: Path) -> None:
    """A folder in use, a point without a log, and a byte that changed."""
    with pytest.raises(Conflict, match="is not empty"):
        restore_base(tmp_path / "copy", tmp_path, archive=None, until=None)
    with pytest.raises(Invalid, match="needs the archived log"):
        restore_base(tmp_path / "copy", tmp_path / "new", archive=None, until=datetime.now(UTC))
    version = tmp_path / "copy" / "base" / "PG_VERSION"
    os.truncate(version, 1)
    with pytest.raises(StoreDown, match="PG_VERSION"):
        restore_base(tmp_path / "copy", tmp_path / "new", archive=None, until=None)

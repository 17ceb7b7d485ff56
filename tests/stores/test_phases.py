"""Schema changes beside running servers: each keeps to its phase, is whole or nothing, and waits only briefly."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.errors import StoreDown
from app.stores import bringup, phases
from app.stores.bringup import current_revision
from app.stores.database import Database, open_database
from app.stores.tables import SCHEMA_REVISION
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import MIGRATIONS
from tests.stores.test_migrations import age

AddRevision = Callable[..., Path]


@pytest.fixture
def add_revision(tmp_path: Path) -> AddRevision:
    """Make a copy of the history with one more revision; gives its folder."""

    def add(body: str, *, phase: str = "expand", oldest: str = "") -> Path:
        folder = tmp_path / "history"
        shutil.copytree(MIGRATIONS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        lines = [
            '"""A revision of a test."""', "import sqlalchemy as sa", "from alembic import op",
            "revision = '9001'", f"down_revision = {SCHEMA_REVISION!r}", f"phase = {phase!r}",
            *([f"oldest = {oldest!r}"] if oldest else []), "def upgrade():", f"    {body}",
        ]  # fmt: skip
        (folder / "versions" / "9001_test.py").write_text("\n".join(lines) + "\n")
        return folder

    return add


async def old_database(url: str, migrations: Path) -> Database:
    """A database whose schema is the oldest."""
    database = open_database(url, folder=migrations, migrations=migrations)
    await database.run(EVERY_TENANT, age)
    return database


def test_the_history_keeps_to_its_phases() -> None:
    assert phases.faults(MIGRATIONS) == []


@pytest.mark.parametrize(
    "body",
    [
        "op.add_column('worlds', sa.Column('x', sa.String(9)))",
        "op.add_column('worlds', sa.Column('x', sa.Integer, nullable=False, server_default='0'))",
        "op.create_table('x', sa.Column('id', sa.Integer, primary_key=True))",
        "t = op.create_table('x', sa.Column('id', sa.Integer)); op.create_index('i', 'x', ['id']); "
        "op.bulk_insert(t, [{'id': 1}])",
    ],
)
def test_an_expand_may_add(add_revision: AddRevision, body: str) -> None:
    assert phases.faults(add_revision(body)) == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("op.add_column('worlds', sa.Column('x', sa.Integer, nullable=False))", "older releases do not fill"),
        ("op.drop_column('worlds', 'owner')", "does more than add"),
        ("op.drop_table('leases')", "does more than add"),
        ("op.alter_column('worlds', 'owner', type_=sa.Text())", "does more than add"),
        ("op.create_index('i', 'events', ['wall_ms'])", "concurrently"),
        ("op.execute(\"UPDATE worlds SET owner = 'x'\")", "does more than add"),
        ("op.execute(\"INSERT INTO worlds VALUES ('a', 'b', 0)\")", "only adds"),
    ],
)
def test_an_expand_that_does_more_is_named(add_revision: AddRevision, body: str, named: str) -> None:
    (fault,) = phases.faults(add_revision(body))
    assert "'9001'" in fault
    assert named in fault


def test_a_revision_without_a_phase_is_named(add_revision: AddRevision) -> None:
    (fault,) = phases.faults(add_revision("pass", phase="both"))
    assert "declare phase" in fault


@pytest.mark.parametrize(
    ("body", "oldest", "named"),
    [
        ("op.drop_column('worlds', 'owner')", SCHEMA_REVISION, "removes a column that this release uses"),
        ("op.drop_table('leases')", SCHEMA_REVISION, "removes a table that this release uses"),
        ("op.drop_table('gone')", "9001", "the release before"),
        ("op.drop_table('gone')", "", "the release before"),
    ],
)
def test_a_contract_that_a_running_release_would_miss_is_named(
    add_revision: AddRevision, body: str, oldest: str, named: str
) -> None:
    assert any(named in fault for fault in phases.faults(add_revision(body, phase="contract", oldest=oldest)))


async def test_a_contract_ends_the_support_of_what_was_before(add_revision: AddRevision, url: str) -> None:
    migrations = add_revision("pass", phase="contract", oldest=SCHEMA_REVISION)
    database = await old_database(url, migrations)
    await database.upgrade()
    found = await database.run(
        EVERY_TENANT, lambda c: (current_revision(c), c.execute(text("SELECT * FROM schema_support")).all())
    )
    assert found == ("9001", [(SCHEMA_REVISION,)])
    await database.close()


async def test_a_revision_that_fails_leaves_nothing_of_itself(
    add_revision: AddRevision, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringup, "SCHEMA_REVISION", "9001")
    body = "op.create_table('half', sa.Column('id', sa.Integer)); op.execute('SELECT * FROM nowhere')"
    database = await old_database(url, add_revision(body))
    with pytest.raises(StoreDown, match="nowhere"):
        await database.upgrade()
    assert not await database.run(EVERY_TENANT, lambda connection: inspect(connection).has_table("half"))
    add_revision("op.create_table('half', sa.Column('id', sa.Integer))")
    await database.upgrade()
    assert await database.run(EVERY_TENANT, lambda connection: inspect(connection).has_table("half"))
    await database.close()


async def test_an_index_is_built_beside_writers_on_postgresql(
    add_revision: AddRevision, postgres: Callable[[], str]
) -> None:
    migrations = add_revision(
        "with op.get_context().autocommit_block(): op.create_index('i', 'events', ['wall_ms'], "
        "postgresql_concurrently=True)"
    )
    assert phases.faults(migrations) == []
    database = await old_database(postgres(), migrations)
    await database.upgrade()
    assert "i" in await database.run(
        EVERY_TENANT, lambda c: {index["name"] for index in inspect(c).get_indexes("events")}
    )
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon."""
    monkeypatch.setattr(bringup, "LOCK_TRIES_MAX", 2)
    monkeypatch.setattr(bringup, "LOCK_PAUSE_S", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_migration_gives_up_on_a_lock_and_goes_through_when_it_is_free(url: str, tmp_path: Path) -> None:
    database = await old_database(url, MIGRATIONS)
    if url.startswith("sqlite"):
        engine = create_engine(url)
        with engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            await _refused(database)
            other.rollback()
        engine.dispose()
    else:
        await database.upgrade()
        owner = open_database(url, folder=MIGRATIONS, migrations=MIGRATIONS)
        await owner.run(EVERY_TENANT, _to_first)
        await owner.close()
        holder = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with holder.connect() as other:
            await other.execute(text("SELECT count(*) FROM worlds"))  # a long transaction that only reads is enough
            await _refused(database)
            await other.rollback()
        await holder.dispose()
    await database.upgrade()
    assert await database.run(EVERY_TENANT, current_revision) == SCHEMA_REVISION
    await database.close()


async def _refused(database: Database) -> None:
    with pytest.raises(StoreDown, match="another session held a lock in each of 2 tries of 1000 ms"):
        await database.upgrade()
    assert await database.run(EVERY_TENANT, current_revision) in ("", phases.FIRST)


def _to_first(connection: Connection) -> None:
    """Take everything away that came after the first revision."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    with Operations.context(MigrationContext.configure(connection)):
        for script in phases.scripts(MIGRATIONS)[:0:-1]:
            script.module.downgrade()
    connection.execute(text("UPDATE alembic_version SET version_num = :first"), {"first": phases.FIRST})


async def test_two_replicas_that_start_at_once_make_one_schema(url: str, tmp_path: Path) -> None:
    both = [open_database(url, folder=tmp_path, migrations=MIGRATIONS) for _ in range(2)]
    await asyncio.gather(*(database.upgrade() for database in both))
    for database in both:
        assert await database.run(EVERY_TENANT, current_revision) == SCHEMA_REVISION
        await database.close()

"""Row-level security in a real PostgreSQL: what a transaction does not name, it neither sees nor changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, insert, inspect, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.errors import Invalid, StoreDown
from app.stores import repositories, tables
from app.stores.database import Database, open_database
from app.stores.roles import APP_ROLE
from app.stores.tenancy import EVERY_TENANT, SERVERS, setting_of, tenant_tables
from tests.stores.conftest import MIGRATIONS
from tests.stores.test_migrations import age

PREFIX_IS_LOOKED_UP_FIRST = {("api_keys", ("prefix",))}
"""Keys that do not begin with the tenant: a key's prefix is drawn by the server and tells whose the key is."""

CATALOG = text("""
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced,
        (SELECT array_agg(polname::text ORDER BY polname) FROM pg_policy WHERE polrelid = c.oid) AS policies
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        AND (a.attname = 'tenant' OR (c.relname = 'tenants' AND a.attname = 'id'))
""")


async def opened(url: str, folder: Path, *, owner_url: str = "") -> Database:
    database = open_database(url, folder=folder, migrations=MIGRATIONS, owner_url=owner_url)
    await database.upgrade()
    return database


async def two_tenants(database: Database) -> None:
    for tenant in ("a", "b"):
        await database.run(tenant, lambda c, tenant=tenant: repositories.insert_world(c, tenant, "w", 0))


async def as_superuser(url: str, *statements: str) -> None:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()


@pytest.mark.parametrize("migrated", [False, True])
async def test_every_table_of_tenants_is_under_forced_row_level_security(
    tmp_path: Path, postgres: Callable[[], str], migrated: bool
) -> None:
    database = open_database(postgres(), folder=tmp_path, migrations=MIGRATIONS)
    if migrated:
        await database.run(SERVERS, age)
    await database.upgrade()
    found = {row.relname: row for row in await database.run(SERVERS, lambda c: c.execute(CATALOG).all())}
    assert set(found) == {table.name for table in tenant_tables(tables.metadata)}
    for name, row in found.items():
        assert row.forced, f"{name} is not under forced row-level security: put it under its policies in its migration"
        assert row.policies == ["release_before", "tenant_rows"]
    await database.close()


async def test_the_server_is_neither_owner_nor_superuser(tmp_path: Path, postgres: Callable[[], str]) -> None:
    database = await opened(postgres(), tmp_path)
    assert await database.run(SERVERS, lambda c: c.execute(text("SELECT current_user")).scalar()) == APP_ROLE
    assert database.weakness == ""
    with pytest.raises(StoreDown, match="must be owner"):
        await database.run(EVERY_TENANT, lambda c: c.execute(text("ALTER TABLE events DISABLE ROW LEVEL SECURITY")))
    await database.close()


async def test_a_transaction_sees_and_changes_only_the_tenants_that_it_names(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    database = await opened(postgres(), tmp_path)
    await two_tenants(database)

    def seen(connection: Connection) -> list[tuple[str, str]]:
        return repositories.world_ids(connection)

    assert await database.run("a", seen) == [("a", "w")]
    assert await database.run({"a", "b"}, seen) == [("a", "w"), ("b", "w")]
    assert await database.run(EVERY_TENANT, seen) == [("a", "w"), ("b", "w")]
    assert await database.run(SERVERS, seen) == []
    assert await database.run("nobody", seen) == []
    changed = update(tables.worlds).where(tables.worlds.c.tenant == "b").values(owner="a")
    assert await database.run("a", lambda c: c.execute(changed).rowcount) == 0
    with pytest.raises(StoreDown, match="row-level security"):
        await database.run("a", lambda c: c.execute(insert(tables.worlds).values(tenant="b", id="x", created_ms=0)))
    with pytest.raises(StoreDown, match="row-level security"):
        await database.run("a", lambda c: c.execute(update(tables.worlds).values(tenant="b")))
    await database.close()


async def test_a_connection_keeps_nothing_of_the_tenant_before(tmp_path: Path, postgres: Callable[[], str]) -> None:
    """After a commit the setting is an empty string; whoever begins by hand and names nobody sees nobody's rows."""
    url = postgres()
    database = await opened(url, tmp_path)
    await two_tenants(database)
    await database.close()
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), connect_args={"server_settings": {"role": APP_ROLE}}
    )
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL app.tenants = 'a'"))
        assert len((await connection.execute(select(tables.worlds))).all()) == 1
        await connection.commit()
        assert (await connection.execute(text("SELECT current_setting('app.tenants', true)"))).scalar() == ""
        assert (await connection.execute(select(tables.worlds))).all() == []
    await engine.dispose()


async def test_a_prepared_plan_follows_the_tenant_and_the_role_cve_2024_10976(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    """One connection, one prepared statement, tenants and roles that change under its cached generic plan."""
    url = postgres()
    database = await opened(url, tmp_path)
    await two_tenants(database)
    await database.close()
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("SET plan_cache_mode = force_generic_plan")
        by_id = await driver.prepare("SELECT tenant FROM worlds WHERE id = $1 ORDER BY tenant")
        within = await driver.prepare("WITH w AS (SELECT * FROM worlds) SELECT tenant FROM w WHERE id = $1 ORDER BY 1")
        for _ in range(8):
            for role, tenants, expected in (
                (APP_ROLE, "a", ["a"]),
                (APP_ROLE, "b", ["b"]),
                ("NONE", "a", ["a", "b"]),
                (APP_ROLE, "", []),
                (APP_ROLE, "a,b", ["a", "b"]),
            ):
                await driver.execute(f"SET ROLE {role}; SET app.tenants = '{tenants}'")
                for statement in (by_id, within):
                    assert [row["tenant"] for row in await statement.fetch("w")] == expected
    await engine.dispose()


async def test_a_transaction_that_is_canceled_leaves_its_connection_clean(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    database = await opened(postgres(), tmp_path)
    await two_tenants(database)
    for _ in range(20):
        slow = asyncio.ensure_future(database.run("a", lambda c: c.execute(text("SELECT pg_sleep(5)"))))
        await asyncio.sleep(0.02)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        assert await database.run("b", repositories.world_ids) == [("b", "w")]
    await database.close()


async def test_a_studio_may_give_the_server_a_role_of_its_own(tmp_path: Path, postgres: Callable[[], str]) -> None:
    owner = postgres()
    name = owner.partition("@/")[2].partition("?")[0]
    await as_superuser(owner, f"CREATE ROLE app_{name} LOGIN")
    mine = owner.replace("postgres@", f"app_{name}@")
    database = await opened(mine, tmp_path, owner_url=owner)
    await two_tenants(database)
    assert database.weakness == ""
    assert await database.run("a", repositories.world_ids) == [("a", "w")]
    await database.close()
    alone = await opened(mine, tmp_path)  # as where another program migrates
    assert await alone.run("b", repositories.world_ids) == [("b", "w")]
    await alone.close()


async def test_a_server_whose_login_passes_by_row_level_security_says_so(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    url = postgres()
    database = await opened(url, tmp_path, owner_url=url)
    assert "'postgres' passes by row-level security" in database.weakness
    await database.close()


async def test_an_owner_without_rights_is_told_what_to_run_and_then_works(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    superuser = postgres()
    name = superuser.partition("@/")[2].partition("?")[0]
    await as_superuser(
        superuser, f"CREATE ROLE own_{name} LOGIN", f"ALTER DATABASE {name} OWNER TO own_{name}",
        f"ALTER SCHEMA public OWNER TO own_{name}",
    )  # fmt: skip
    url = superuser.replace("postgres@", f"own_{name}@")
    database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    with pytest.raises(Invalid, match=f"own_{name}") as refused:
        await database.upgrade()
    mend = refused.value.hint.partition("once: ")[2].partition("; or")[0]
    make, grant = mend.split("; ")
    with suppress(ProgrammingError):  # another test's server has made the role, which all databases of a server share
        await as_superuser(superuser, make)
    await as_superuser(superuser, grant)
    await database.upgrade()
    await two_tenants(database)
    assert await database.run("a", repositories.world_ids) == [("a", "w")]
    await database.close()

    # The release before connects as the owner and names no tenant: it sees all, until the next contract.
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        assert len((await connection.execute(select(tables.worlds))).all()) == 2
        await connection.execute(insert(tables.worlds).values(tenant="c", id="w", created_ms=0))
    await engine.dispose()


async def test_every_unique_key_begins_with_the_tenant(tmp_path: Path) -> None:
    """Else whoever may insert learns what another tenant has."""
    database = await opened("", tmp_path)
    await database.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'innkeeper.db'}")
    found = inspect(engine)
    leaking = set()
    for table in tenant_tables(tables.metadata):
        keys = [found.get_pk_constraint(table.name)["constrained_columns"]]
        keys += [unique["column_names"] for unique in found.get_unique_constraints(table.name)]
        keys += [index["column_names"] for index in found.get_indexes(table.name) if index["unique"]]
        first = "id" if table.name == "tenants" else "tenant"
        leaking |= {(table.name, tuple(key)) for key in keys if key and key[0] != first}
    engine.dispose()
    assert leaking == PREFIX_IS_LOOKED_UP_FIRST


@pytest.mark.parametrize("name", ["", "a,b", "*,a", "a\x00"])
def test_a_name_that_could_stand_for_another_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        setting_of([name, "z"])

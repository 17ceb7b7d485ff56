"""Whose rows a transaction may touch: named at its start, and on PostgreSQL enforced by row-level security.

A table of tenants has a policy that lets through the rows of the tenants in `app.tenants`, which holds for one
transaction. Nothing is named by forgetting: a transaction that names nobody sees no row. It knows no query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import Connection, MetaData, Table

from app.core.errors import Invalid

Tenants = str | Collection[str]
"""One tenant by its id, several, or EVERY_TENANT."""
EVERY_TENANT = "*"
"""Work of the server itself that really spans tenants; tests/architecture/test_tenancy.py lists each use, with why."""
SERVERS = "~"
"""Stands for the servers themselves, which belong to no tenant; it has leases and nothing else."""
SETTING = "app.tenants"
SEPARATOR = ","
COLUMNS = {"tenants": "id"}
"""Where the column that holds the tenant is not called `tenant`."""

_NAMED = f"NULLIF(current_setting('{SETTING}', true), '')"
"""After a commit the setting is an empty string, not NULL."""


def setting_of(tenants: Tenants) -> str:
    """The value of `app.tenants` for a transaction; raises Invalid for an id that cannot be told from two."""
    names = [tenants] if isinstance(tenants, str) else sorted(tenants)
    for name in names:
        if not name or SEPARATOR in name or "\x00" in name or (name == EVERY_TENANT and names != [name]):
            raise Invalid(f"tenant {name!r} cannot be named", hint="see app/core/ids.py for what an id may hold")
    return SEPARATOR.join(names)


def tenant_tables(metadata: MetaData) -> list[Table]:
    """The tables whose every row belongs to a tenant, by name."""
    return [table for table in metadata.sorted_tables if tenant_column(table) is not None]


def tenant_column(table: Table) -> str | None:
    """The name of the column that holds the tenant; None for a table of the server's own."""
    name = COLUMNS.get(table.name, "tenant")
    return name if name in table.c else None


def secure(connection: Connection, metadata: MetaData) -> None:
    """Put every tenant table of a fresh PostgreSQL database under its policies; SQLite has none."""
    if connection.dialect.name != "postgresql":
        return
    for table in tenant_tables(metadata):
        for statement in policy_statements(table.name, tenant_column(table) or ""):
            connection.exec_driver_sql(statement)


def policy_statements(table: str, column: str = "tenant") -> Iterator[str]:
    """What puts one table under row-level security, its owner included.

    `release_before` lets the owner through, as whom the release before this one connects and which names no tenant;
    the next contract drops it. Subselects are evaluated once for a statement, not for each row.
    """
    yield (
        f"CREATE POLICY tenant_rows ON {table} USING ("
        f"{column} = ANY ((SELECT string_to_array({_NAMED}, '{SEPARATOR}'))::text[]) "
        f"OR (SELECT {_NAMED}) = '{EVERY_TENANT}')"
    )
    owner = f"(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{table}'::regclass)"  # noqa: S608  # ours
    yield f"CREATE POLICY release_before ON {table} USING ({owner} = current_user)"
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"

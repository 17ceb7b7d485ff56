"""The role as which the server works in PostgreSQL: not the tables' owner, and bound by row-level security.

The owner migrates; the server then steps down to `innkeeper_app`, or connects as a role of the studio's own. Made and
given its rights at the start where the owner may; else the error says what a superuser must run once.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.core.errors import Invalid
from app.stores.tables import metadata

APP_ROLE = "innkeeper_app"
RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
READ_ONLY = frozenset({"alembic_version", "schema_support"})
INSUFFICIENT_PRIVILEGE = "42501"
SET_SINCE = 160_000
"""From this version on, being a member of a role and being allowed to become it are two rights."""

_STATE = text("""
    SELECT current_user AS me, me.rolsuper OR me.rolbypassrls AS unbound,
        CAST(current_setting('server_version_num') AS int) AS version,
        app.rolname IS NOT NULL AS there
    FROM pg_roles me LEFT JOIN pg_roles app ON app.rolname = :app WHERE me.rolname = current_user
""")
_OWNERS = text("""
    SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        AND relkind = 'r' AND relname = ANY(:names)
""")
_UNGRANTED = text("""
    SELECT count(*) FROM pg_class, unnest(string_to_array(:rights, ', ')) AS needed
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        AND relkind = 'r' AND relname = ANY(:names) AND NOT has_table_privilege(CAST(:role AS name), oid, needed)
""")
_CREATE = f"""
    DO $$ BEGIN CREATE ROLE {APP_ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""


def known_tables() -> list[str]:
    """Every table that the server may touch."""
    return sorted({*metadata.tables, "alembic_version"})


def role_for(connection: Connection, login: str | None) -> str | None:
    """The role to step down to, or empty where the login itself is bound; None while something is to be prepared.

    `login` is the role that the server connects as, where that is not the owner who asks here. It writes nothing.
    """
    found = connection.execute(_STATE, {"app": login or APP_ROLE}).one()
    if login is None and not found.unbound and _is_guest(connection, found.me):
        return ""
    if not found.there or (login is None and not _may_become(connection, found.version)):
        return None
    if not _granted(connection, login or APP_ROLE):
        return None
    return "" if login is not None else APP_ROLE


def prepare(connection: Connection, login: str | None) -> None:
    """Make the role where it is missing, let this login become it, and give it the rights on every table.

    Raises Invalid with what a superuser must run where this login may not.
    """
    found = connection.execute(_STATE, {"app": login or APP_ROLE}).one()
    try:
        if login is None:
            if not found.there:
                connection.execute(text(_CREATE))
            if not _may_become(connection, found.version):
                connection.execute(text(f"GRANT {APP_ROLE} TO CURRENT_USER"))
        _grant(connection, login or APP_ROLE)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != INSUFFICIENT_PRIVILEGE:
            raise
        raise Invalid(
            f"the database role {found.me!r} may not make the role {APP_ROLE!r}, as which the server works",
            hint=f'as a superuser run once: CREATE ROLE {APP_ROLE} NOLOGIN; GRANT {APP_ROLE} TO "{found.me}"; '
            "or give database.url a role of its own and database.owner_url the owner",
        ) from error


def weakness(connection: Connection) -> str:
    """Why row-level security does not bind the role of this connection; empty where it does."""
    found = connection.execute(_STATE, {"app": APP_ROLE}).one()
    if found.unbound:
        return f"the role {found.me!r} passes by row-level security: give the server one without SUPERUSER or BYPASSRLS"
    if found.me in _owners(connection):
        return f"the role {found.me!r} owns the tables: give the server another, and the owner to database.owner_url"
    return ""


def _is_guest(connection: Connection, me: str) -> bool:
    """Whether the tables are there and are all of another role: then this login is the server's own already."""
    owners = _owners(connection)
    return bool(owners) and me not in owners


def _owners(connection: Connection) -> set[str]:
    return set(connection.execute(_OWNERS, {"names": known_tables()}).scalars())


def _granted(connection: Connection, role: str) -> bool:
    """Whether the role has its rights on every table that is there."""
    written = [table for table in known_tables() if table not in READ_ONLY]
    asked = ((written, RIGHTS), (sorted(READ_ONLY), "SELECT"))
    return not any(
        connection.execute(_UNGRANTED, {"names": names, "rights": rights, "role": role}).scalar()
        for names, rights in asked
    )


def _may_become(connection: Connection, version: int) -> bool:
    right = "SET" if version >= SET_SINCE else "MEMBER"
    query = text("SELECT pg_has_role(current_user, :role, :right)")
    return bool(connection.execute(query, {"role": APP_ROLE, "right": right}).scalar())


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    schema = connection.dialect.identifier_preparer.quote_identifier(
        str(connection.execute(text("SELECT current_schema()")).scalar())
    )
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}"))
    for table in known_tables():
        rights = "SELECT" if table in READ_ONLY else RIGHTS
        connection.execute(text(f"GRANT {rights} ON {schema}.{table} TO {quoted}"))

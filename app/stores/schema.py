"""The schema under examination: is it at head, does the history make the tables, does its SQL lock a live server.

Imported by `manage.py db` and tests alone, for it loads Alembic. The linter (squawk) is a tool of developers;
where it is not installed the finding says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from app.stores import phases
from app.stores.bringup import current_revision
from app.stores.tables import SCHEMA_REVISION, metadata
from app.stores.upgrade import upgrade

LINT_S_MAX = 60
LOCK_TIMEOUT = {"sqlite": "PRAGMA busy_timeout", "postgresql": "SHOW lock_timeout"}
EXCLUDED_RULES = ("prefer-robust-stmts", "prefer-text-field", "prefer-bigint-over-int")
"""Squawk's rules that do not hold here: each revision runs in one transaction; lengths and small integers are meant."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check and its outcome; `state` is skipped where a tool is missing."""

    check: str
    state: str
    detail: str = ""


def examine(connection: Connection, migrations: Path) -> list[Finding]:
    """Every check over an open database, in order; none of them writes to it."""
    return [
        _at_head(connection, migrations),
        _tables_agree(connection, "the database equals the tables"),
        _history_agrees(migrations),
        _history_is_phased(migrations),
        _locks_time_out(connection),
        sql_is_safe(migrations),
    ]


def offline_sql(migrations: Path) -> str:
    """What an upgrade from nothing sends to PostgreSQL, with the settings of our sessions ahead of it."""
    from app.stores.postgres import SETTINGS

    settings = f"SET lock_timeout = '{SETTINGS['lock_timeout']}';\nSET statement_timeout = '60s';\n"
    return settings + "".join(
        f"BEGIN;\n{phases.revision_sql(script)}COMMIT;\n" for script in phases.scripts(migrations)
    )


def _at_head(connection: Connection, migrations: Path) -> Finding:
    head = ScriptDirectory(str(migrations)).get_current_head()
    found = current_revision(connection)
    if head != SCHEMA_REVISION:
        return _bad("schema at head", f"tables/metadata.py says {SCHEMA_REVISION!r}, migrations end at {head!r}")
    if found != head:
        return _bad("schema at head", f"the database is at {found or 'nothing'!r}; run manage.py db upgrade")
    return _good("schema at head", head)


def _tables_agree(connection: Connection, check: str) -> Finding:
    differences = compare_metadata(MigrationContext.configure(connection), metadata)
    return _bad(check, f"{differences[0]!r}") if differences else _good(check)


def _history_agrees(migrations: Path) -> Finding:
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("BEGIN")
            upgrade(connection, migrations)
            return _tables_agree(connection, "the migrations make the tables")
    finally:
        engine.dispose()


def _history_is_phased(migrations: Path) -> Finding:
    check = "each migration keeps to its phase"
    faults = phases.faults(migrations)
    return _bad(check, faults[0]) if faults else _good(check)


def _locks_time_out(connection: Connection) -> Finding:
    value = str(connection.execute(text(LOCK_TIMEOUT[connection.dialect.name])).scalar())
    check = "waiting for a lock has an end"
    return _bad(check, "lock_timeout is 0") if value == "0" else _good(check, value)


def sql_is_safe(migrations: Path) -> Finding:
    """Whether squawk takes every revision's SQL; skipped where it is not installed."""
    check = "the migrations' SQL passes squawk"
    beside = Path(sys.executable).with_name("squawk")
    squawk = str(beside) if beside.exists() else shutil.which("squawk")
    if squawk is None:
        return Finding(check=check, state="skipped", detail="squawk is not installed; uv sync --group dev")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(offline_sql(migrations))
        file.flush()
        command = [squawk, "--reporter", "Json", "--exclude", ",".join(EXCLUDED_RULES), file.name]
        run = subprocess.run(command, capture_output=True, text=True, timeout=LINT_S_MAX, check=False)  # noqa: S603  # our own file, no shell
    if run.returncode == 0:
        return _good(check)
    try:
        first = json.loads(run.stdout)[0]
    except (ValueError, IndexError):
        return _bad(check, run.stderr.strip() or run.stdout.strip())
    return _bad(check, f"{first['rule_name']}, line {first['line'] + 1}: {first['message']}")


def _good(check: str, detail: str = "") -> Finding:
    return Finding(check=check, state="ok", detail=detail)


def _bad(check: str, detail: str) -> Finding:
    return Finding(check=check, state="bad", detail=detail)

"""The two phases of a schema change, and whether each revision of a history keeps to its own.

A revision declares `phase`: expand only adds, so that running releases go on; contract removes what the release
before it no longer uses, and declares `oldest`, the oldest release that still works afterwards. Between the two
lies at least one release. It reads the SQL that PostgreSQL would get, and writes `schema_support`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import update

from app.stores.tables import OLDEST_REVISION, metadata, schema_support

FIRST = "0001"
REVISION = re.compile(r"\d{4}")
_FIRST_TABLE = re.compile(r"CREATE TABLE (\S+) \(")
_ADDED = re.compile(r"ALTER TABLE \S+ ADD COLUMN (.+)", re.DOTALL)
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?\S+ ON (\S+)")
_ROWS = re.compile(r"INSERT INTO (\S+) ")
_POLICY = re.compile(r"CREATE POLICY \S+ ON \S+ USING |ALTER TABLE \S+ (?:ENABLE|FORCE) ROW LEVEL SECURITY$")
"""Whether the release before still sees its rows under a policy is what its own test proves."""
_REMOVED_COLUMN = re.compile(r"ALTER TABLE (\S+) DROP COLUMN (\S+)")
_TRANSACTION = ("BEGIN", "COMMIT")
_REMOVED_TABLE = re.compile(r"DROP TABLE (\S+)")


def scripts(migrations: Path) -> list[Script]:
    """The revisions of the folder, oldest first."""
    return list(ScriptDirectory(str(migrations)).walk_revisions())[::-1]


def revision_sql(script: Script) -> str:
    """What the revision sends to PostgreSQL."""
    out = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": out})
    with Operations.context(context):
        script.module.upgrade()
    return out.getvalue()


def faults(migrations: Path) -> list[str]:
    """What in the history breaks a rule of its phase; empty when nothing does."""
    found: list[str] = []
    oldest = FIRST
    for script in scripts(migrations):
        found += [f"revision {script.revision!r}: {fault}" for fault in _faults_of(script)]
        oldest = getattr(script.module, "oldest", oldest)
    if oldest != OLDEST_REVISION:
        found.append(f"tables/metadata.py says that {OLDEST_REVISION!r} is supported, the history {oldest!r}")
    return found


def note_support(*, ctx: MigrationContext, step: Any, **_rest: object) -> None:
    """Write what a contract declares, in the revision's own transaction; called by Alembic after each."""
    (script,) = (step.up_revision,)
    if step.is_upgrade and _phase(script) == "contract" and ctx.connection is not None:
        ctx.connection.execute(update(schema_support).values(oldest=script.module.oldest))


def _faults_of(script: Script) -> Iterator[str]:
    before = script.down_revision or ""
    if not REVISION.fullmatch(script.revision) or script.revision <= str(before):
        yield f"its name is not four digits that follow {before!r}"
    statements = [statement.strip() for statement in revision_sql(script).split(";\n") if statement.strip()]
    match _phase(script):
        case "expand":
            yield from _not_expanding(statements)
        case "contract":
            yield from _not_contracting(script, statements)
        case other:
            yield f"phase is {other!r}; declare phase = 'expand' or 'contract'"


def _phase(script: Script) -> str:
    return str(getattr(script.module, "phase", ""))


def _not_expanding(statements: list[str]) -> Iterator[str]:
    """Statements that do more than add, or that hold up those who write meanwhile."""
    new = {made[1] for statement in statements if (made := _FIRST_TABLE.match(statement))}
    for statement in statements:
        added, index, rows = _ADDED.match(statement), _INDEX.match(statement), _ROWS.match(statement)
        if added is not None and "NOT NULL" in added[1] and "DEFAULT" not in added[1]:
            yield f"{statement!r} adds a column that older releases do not fill; give it a default or let it be null"
        elif index is not None and index[1] is None and index[2] not in new:
            yield f"{statement!r} locks the table against writes; create it concurrently, in an autocommit_block"
        elif rows is not None and rows[1] not in new:
            yield f"{statement!r} writes rows of a table that is in use; an expand only adds"
        elif not (
            added
            or index
            or rows
            or _FIRST_TABLE.match(statement)
            or _POLICY.match(statement)
            or statement in _TRANSACTION
        ):
            yield f"{statement!r} does more than add; move it to a contract, a release later"


def _not_contracting(script: Script, statements: list[str]) -> Iterator[str]:
    """Removals of what this release still names, and a contract that ends the release before it."""
    oldest = str(getattr(script.module, "oldest", ""))
    if not REVISION.fullmatch(oldest) or oldest > str(script.down_revision):
        yield f"oldest is {oldest!r}; the release before ({script.down_revision!r}) must go on working"
    for statement in statements:
        table, column = _REMOVED_TABLE.match(statement), _REMOVED_COLUMN.match(statement)
        if table is not None and table[1] in metadata.tables:
            yield f"{statement!r} removes a table that this release uses"
        if column is not None and column[1] in metadata.tables and column[2] in metadata.tables[column[1]].c:
            yield f"{statement!r} removes a column that this release uses"

"""Prompts in the database: versions, labels and eval runs of each tenant, and what changed anywhere.

A change of a label is a row with a larger number. The feed looks often and reads rows only where something changed, so
it serves SQLite and PostgreSQL, and a change made by the command line, alike. It reads no template.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from app.core.errors import TooLarge
from app.core.ports import Log
from app.core.prompts import Eval, Label, Live, Version
from app.stores import tables
from app.stores.database import Database
from app.stores.feed import Feed
from app.stores.tenancy import EVERY_TENANT

BEFORE_MAX = 16
"""Earlier targets of a label that a rollback can go back to."""
EVALS_MAX = 200
"""Runs of one prompt that are kept; the oldest leave first."""
_Signature = tuple[int, int]


class _Pointed(msgspec.Struct, frozen=True):
    targets: dict[str, int]
    before: tuple[dict[str, int], ...] = ()


class _Run(msgspec.Struct, frozen=True):
    engine: str
    cases: int
    passed: int
    ok: bool
    failures: tuple[str, ...]


_pointed = msgspec.json.Decoder(_Pointed)
_run = msgspec.json.Decoder(_Run)


def versions(connection: Connection, tenant: str, prompt: str) -> list[Version]:
    """The versions of a prompt, newest first."""
    table = tables.prompts_versions
    query = select(table.c.version, table.c.created_ms, table.c.actor).where(
        table.c.tenant == tenant, table.c.prompt == prompt
    )
    rows = connection.execute(query.order_by(table.c.created_ms.desc(), table.c.version))
    return [Version(id=row.version, prompt=prompt, created_ms=row.created_ms, actor=row.actor) for row in rows]


def body(connection: Connection, tenant: str, prompt: str, version: str) -> bytes | None:
    """The content of a version; None where there is none."""
    table = tables.prompts_versions
    found = connection.execute(
        select(table.c.body).where(table.c.tenant == tenant, table.c.prompt == prompt, table.c.version == version)
    ).scalar()
    return bytes(found) if found is not None else None


def put_version(connection: Connection, tenant: str, version: Version, content: bytes, *, versions_max: int) -> bool:
    """Keep a version; False when it is there. Raises TooLarge when the prompt has `versions_max` already."""
    table = tables.prompts_versions
    if body(connection, tenant, version.prompt, version.id) is not None:
        return False
    mine = table.c.tenant == tenant, table.c.prompt == version.prompt
    count = connection.execute(select(func.count()).select_from(table).where(*mine)).scalar() or 0
    if count >= versions_max:
        raise TooLarge(
            f"prompt {version.prompt!r} has {count} versions", hint="raise prompts.versions_max in the profile"
        )
    connection.execute(
        insert(table).values(
            tenant=tenant, prompt=version.prompt, version=version.id, created_ms=version.created_ms,
            actor=version.actor, body=content,
        )
    )  # fmt: skip
    return True


def labels(connection: Connection, tenant: str) -> list[Label]:
    """Every label of the tenant."""
    table = tables.prompts_labels
    rows = connection.execute(select(table).where(table.c.tenant == tenant).order_by(table.c.prompt, table.c.label))
    return [_label(row) for row in rows]


def put_label(connection: Connection, tenant: str, label: Label) -> Label:
    """Move a label, and keep where it pointed; one that points there already stays as it is."""
    found = _label_of(connection, tenant, label.prompt, label.label)
    if found is not None and found.targets == label.targets:
        return found
    before = (found.targets, *found.before)[:BEFORE_MAX] if found is not None else ()
    return _write(connection, tenant, found, msgspec.structs.replace(label, before=before))


def rollback(
    connection: Connection, tenant: str, prompt: str, label: str, changed_ms: int, *, change: int | None = None
) -> Label | None:
    """Point a label where it pointed before; None when it pointed nowhere, or is not at that change any more."""
    found = _label_of(connection, tenant, prompt, label)
    if found is None or not found.before or change not in (None, found.change):
        return None
    targets, *before = found.before
    moved = Label(prompt=prompt, label=label, targets=targets, changed_ms=changed_ms, before=tuple(before))
    return _write(connection, tenant, found, moved)


def _label_of(connection: Connection, tenant: str, prompt: str, label: str) -> Label | None:
    table = tables.prompts_labels
    query = select(table).where(table.c.tenant == tenant, table.c.prompt == prompt, table.c.label == label)
    row = connection.execute(query.with_for_update()).first()
    return None if row is None else _label(row)


def _write(connection: Connection, tenant: str, found: Label | None, label: Label) -> Label:
    table = tables.prompts_labels
    written = msgspec.structs.replace(label, change=found.change + 1 if found is not None else 1)
    values = {
        "change": written.change,
        "changed_ms": written.changed_ms,
        "body": msgspec.json.encode(_Pointed(written.targets, written.before)),
    }
    key = {"tenant": tenant, "prompt": label.prompt, "label": label.label}
    if found is None:
        connection.execute(insert(table).values(**key, **values))
    else:
        connection.execute(update(table).where(*(table.c[name] == key[name] for name in key)).values(**values))
    return written


def evals(connection: Connection, tenant: str, prompt: str) -> list[Eval]:
    """The runs for a prompt, newest first."""
    return [_eval(row) for row in connection.execute(_evals_of(tenant, prompt))]


def add_eval(connection: Connection, tenant: str, run: Eval) -> None:
    """Keep a run, and let the oldest go."""
    table = tables.prompt_evals
    content = _Run(run.engine, run.cases, run.passed, run.ok, run.failures)
    connection.execute(
        insert(table).values(
            tenant=tenant, id=run.id, prompt=run.prompt, version=run.version, set_id=run.set_id, wall_ms=run.wall_ms,
            body=msgspec.json.encode(content),
        )
    )  # fmt: skip
    old = [row.id for row in connection.execute(_evals_of(tenant, run.prompt).offset(EVALS_MAX).limit(EVALS_MAX))]
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.id.in_(old)))


def _evals_of(tenant: str, prompt: str) -> Select[Any]:
    table = tables.prompt_evals
    return select(table).where(table.c.tenant == tenant, table.c.prompt == prompt).order_by(table.c.id.desc())


def live(connection: Connection, tenant: str) -> Live:
    """What is in force for one tenant."""
    known = labels(connection, tenant)
    table = tables.prompts_versions
    wanted = {(label.prompt, version) for label in known for version in label.targets}
    rows = connection.execute(
        select(table.c.prompt, table.c.version, table.c.body).where(
            table.c.tenant == tenant, table.c.version.in_([version for _, version in wanted])
        )
    )
    found = {row.version: bytes(row.body) for row in rows if (row.prompt, row.version) in wanted}
    return Live(tenant=tenant, change=sum(label.change for label in known), labels=tuple(known), versions=found)


def labelers(connection: Connection) -> list[str]:
    """The tenants that have a label."""
    table = tables.prompts_labels
    return list(connection.execute(select(table.c.tenant).distinct().order_by(table.c.tenant)).scalars())


def signature(connection: Connection) -> _Signature:
    """(how many labels there are, the sum of their changes): another one after every change."""
    table = tables.prompts_labels
    count, changes = connection.execute(select(func.count(), func.coalesce(func.sum(table.c.change), 0))).one()
    return int(count), int(changes)


def _label(row: Any) -> Label:
    pointed = _pointed.decode(row.body)
    return Label(
        prompt=row.prompt, label=row.label, targets=pointed.targets, change=row.change, changed_ms=row.changed_ms,
        before=pointed.before,
    )  # fmt: skip


def _eval(row: Any) -> Eval:
    run = _run.decode(row.body)
    return Eval(
        id=row.id, prompt=row.prompt, version=row.version, set_id=row.set_id, wall_ms=row.wall_ms, engine=run.engine,
        cases=run.cases, passed=run.passed, ok=run.ok, failures=run.failures,
    )  # fmt: skip


class DatabasePrompts:
    """Implements app.core.prompts.PromptStore; `moved` is told whose label was moved through it."""

    def __init__(self, database: Database, moved: Callable[[str], Awaitable[None]] | None = None) -> None:
        self._database = database
        self._moved = moved

    async def versions(self, tenant: str, prompt: str) -> Sequence[Version]:
        return await self._database.run(tenant, lambda c: versions(c, tenant, prompt))

    async def body(self, tenant: str, prompt: str, version: str) -> bytes | None:
        return await self._database.run(tenant, lambda c: body(c, tenant, prompt, version))

    async def put_version(self, tenant: str, version: Version, content: bytes, *, versions_max: int) -> bool:
        return await self._database.run(
            tenant, lambda c: put_version(c, tenant, version, content, versions_max=versions_max)
        )

    async def labels(self, tenant: str) -> Sequence[Label]:
        return await self._database.run(tenant, lambda c: labels(c, tenant))

    async def put_label(self, tenant: str, label: Label) -> Label:
        moved = await self._database.run(tenant, lambda c: put_label(c, tenant, label))
        await self._tell(tenant)
        return moved

    async def rollback(
        self, tenant: str, prompt: str, label: str, changed_ms: int, *, change: int | None = None
    ) -> Label | None:
        moved = await self._database.run(
            tenant, lambda c: rollback(c, tenant, prompt, label, changed_ms, change=change)
        )
        await self._tell(tenant)
        return moved

    async def evals(self, tenant: str, prompt: str) -> Sequence[Eval]:
        return await self._database.run(tenant, lambda c: evals(c, tenant, prompt))

    async def add_eval(self, tenant: str, run: Eval) -> None:
        await self._database.run(tenant, lambda c: add_eval(c, tenant, run))

    async def _tell(self, tenant: str) -> None:
        if self._moved is not None:
            await self._moved(tenant)


class PromptsFeed:
    """Tells this process which labels were moved anywhere, within a second."""

    def __init__(
        self,
        database: Database,
        *,
        learn: Callable[[Iterable[Live]], Awaitable[None]],
        keep_only: Callable[[Iterable[str]], None],
        log: Log,
    ) -> None:
        self._database = database
        self._learn = learn
        self._keep_only = keep_only
        self._seen: _Signature | None = None
        self._feed = Feed(self._look, name="prompts", unsure="prompts.unsure", log=log)

    async def start(self) -> None:
        """Know what is in force before anybody is answered, or go on with the bundled prompts where nothing answers."""
        await self._feed.try_once()
        self._feed.start()

    async def close(self) -> None:
        """Look no more."""
        await self._feed.close()

    async def moved(self, tenant: str) -> None:
        """Know at once what was changed here; raises StoreDown."""
        self._seen = None  # even if it is changed back before the next look
        await self._learn([await self._database.run(tenant, lambda c: live(c, tenant))])

    async def _look(self) -> None:
        seen = await self._database.run(EVERY_TENANT, signature)
        if seen == self._seen:
            return
        tenants = await self._database.run(EVERY_TENANT, labelers)
        for tenant in tenants:
            await self._learn([await self._database.run(tenant, partial(live, tenant=tenant))])
        self._keep_only(tenants)
        self._seen = seen

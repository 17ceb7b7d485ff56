"""Work on a profile's database from the command line, beside a running server or without one.

It opens the database and nothing else: no engines, no modules, no worlds in RAM. Progress goes to standard error,
so that standard output stays what was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import inspect

from app.build import ROOT
from app.cli.options import load_profile
from app.core.errors import NotFound
from app.core.profile import Profile
from app.stores.database import Database, open_database
from app.stores.replay import Progress
from app.stores.tenancy import SERVERS

T = TypeVar("T")
MIGRATIONS = ROOT / "migrations"


def database_of(profile: Profile) -> Database:
    """The profile's database, not yet connected; raises Invalid."""
    chosen = profile.database
    folder = Path(profile.server.data_folder)
    return open_database(chosen.url, folder=folder, migrations=MIGRATIONS, owner_url=chosen.owner_url)


def chosen_profile(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None) -> Profile:
    """The profile of `profile_options`, with the data folder that `--data` names."""
    folder = str(data) if data is not None else None
    return load_profile(mode, file, assignments, server__data_folder=folder).profile


def with_database(profile: Profile, work: Callable[[Database], Awaitable[T]]) -> T:
    """The result of `work` over the open database, which is closed afterwards."""

    async def run() -> T:
        database = database_of(profile)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def with_schema(profile: Profile, work: Callable[[Database], Awaitable[T]]) -> T:
    """The same, over a database that is there; raises NotFound where none is, instead of making one."""
    missing = NotFound("there is no database of Innkeeper's here", hint="check --data and database.url")
    if not profile.database.url and not (Path(profile.server.data_folder) / "innkeeper.db").exists():
        raise missing

    async def checked(database: Database) -> T:
        if not await database.run(SERVERS, lambda connection: inspect(connection).has_table("alembic_version")):
            raise missing
        return await work(database)

    return with_database(profile, checked)


@contextmanager
def progress(title: str, total: int) -> Iterator[Progress]:
    """A bar on standard error that is told how many steps were made; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)

"""From what `manage.py quests audit` was given to quests and a world: picks the reader that fits, and the world."""

from __future__ import annotations

from pathlib import Path

from app.build.access import DEFAULT_TENANT
from app.cli.quests.source import Source, json_source
from app.core.errors import Invalid, NotFound, nearest
from app.core.profile import Profile
from app.world.state import State


def read(source: Path, columns: Path | None) -> Source:
    """The quests of a JSON file, or with a column map those of a database; raises Invalid."""
    if columns is None:
        if source.is_dir() or source.suffix.lower() in (".sql", ".db", ".sqlite", ".sqlite3", ".csv"):
            raise Invalid(f"{source.name!r} is a database", hint="say with --columns which columns mean what")
        return json_source(source)
    from app.cli.quests.columns import column_map
    from app.cli.quests.rows import Reading
    from app.cli.quests.tables import tables_of

    chosen = column_map(columns)
    tables = tables_of(source, chosen.tables(), dialect=chosen.dialect)
    return Reading(tables, chosen).source(source.name)


def world(quests: Source, profile: Profile, tenant: str, name: str) -> State:
    """The world to prove them in; raises Invalid where there is none, NotFound where no such one is stored."""
    if not name:
        if quests.state is None:
            hint = "add `world` to the file or entities to the map, or name a stored world with --world"
            raise Invalid(f"{quests.name!r} says nothing of the world", hint=hint)
        return quests.state
    from app.cli.offline import with_schema
    from app.stores.database import Database
    from app.stores.loading import load_world
    from app.stores.replay import chosen_worlds
    from app.stores.repositories import Claim

    owner = tenant or DEFAULT_TENANT

    async def work(database: Database) -> State:
        known = await database.run(owner, lambda connection: chosen_worlds(connection, owner, ""))
        if (owner, name) not in known:
            raise NotFound(f"no world {name!r} of tenant {owner!r}", hint=nearest(name, [id for _, id in known]))
        found, _ = await load_world(database, Claim(owner, name, "", 0))
        return found.state

    return with_schema(profile, work)


def entrance(state: State, start: str) -> str:
    """The place where newcomers enter, if one is named; raises NotFound."""
    if start and start not in state.locations:
        raise NotFound(f"no location {start!r} in the world", hint=nearest(start, state.locations))
    return start

"""`manage.py tenant`: tenants and what they have set, straight in the database; a running server obeys in a second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.offline import chosen_profile, with_database
from app.cli.options import profile_options
from app.control.tenants import convert_settings, offer_of
from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.tenants import Held, require_tenant_id
from app.modules.behavior.scribe import drop_recordings
from app.stores import repositories, tenant_settings
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT


@click.group()
def tenant() -> None:
    """Make, list, show, set, suspend and remove tenants."""


def tenant_options(command: click.decorators.FC) -> click.decorators.FC:
    """The profile, and `--data`."""
    data = click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")
    return profile_options(data(command))


def _run(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenants: str, work: Any) -> Any:
    """The result of `work` over a connection, for those tenants."""

    async def upgraded(database: Database) -> Any:
        await database.upgrade()
        return await database.run(tenants, work)

    return with_database(chosen_profile(mode, file, assignments, data), upgraded)


@tenant.command()
@tenant_options
@click.option("--name", default="", help="What people call it; its id when left out.")
@click.argument("id")
def create(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, name: str, id: str) -> None:
    """Make the tenant ID. A key for it is made with `manage.py key create --tenant ID`."""
    require_tenant_id(id)
    made = _run(
        mode, file, assignments, data, id, lambda c: tenant_settings.create_tenant(c, id, name or id, _now_ms())
    )
    if not made:
        raise Conflict(f"tenant {id!r} exists", hint="choose another id")
    click.echo(f"made {id}")


@tenant.command(name="list")
@tenant_options
def list_(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None) -> None:
    """List tenants, and which of them are suspended."""

    def work(connection: Any) -> list[Held]:
        return [tenant_settings.held_of(connection, id) for id in repositories.tenant_ids(connection)]

    for held in _run(mode, file, assignments, data, EVERY_TENANT, work):
        click.echo(f"{held.tenant}{'  suspended' if held.suspended else ''}")


@tenant.command()
@tenant_options
@click.argument("id")
def show(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, id: str) -> None:
    """Print what the tenant ID has set, as JSON."""

    def work(connection: Any) -> Held:
        _require(connection, id)
        return tenant_settings.held_of(connection, id)

    click.echo(msgspec.json.encode(_run(mode, file, assignments, data, id, work)).decode())


@tenant.command(name="set")
@tenant_options
@click.argument("id")
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE...")
def set_(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, id: str, values: tuple[str, ...]
) -> None:
    """Set values of the tenant ID, such as engines=openai,llama or caps.day_tokens_max=100000."""
    offer = offer_of(chosen_profile(mode, file, assignments, data))

    def work(connection: Any) -> Held:
        tree = msgspec.to_builtins(tenant_settings.held_of(connection, id).settings)
        for value in values:
            _assign(tree, value)
        return tenant_settings.put(connection, id, _now_ms(), settings=convert_settings(tree, offer))

    held = _run(mode, file, assignments, data, id, work)
    click.echo(f"{id} is at version {held.version}")


@tenant.command()
@tenant_options
@click.option("--resume", is_flag=True, help="Let it work again.")
@click.argument("id")
def suspend(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, resume: bool, id: str
) -> None:
    """Refuse everything that the tenant ID asks, and close its sockets, until --resume."""
    _run(mode, file, assignments, data, id, lambda c: tenant_settings.put(c, id, _now_ms(), suspended=not resume))
    click.echo(f"{id} {'works again' if resume else 'is suspended'}")


@tenant.command()
@tenant_options
@click.argument("id")
def remove(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, id: str) -> None:
    """Remove the tenant ID, with its keys and its recorded play, when it has no world left."""

    def work(connection: Any) -> list[str]:
        _require(connection, id)
        return tenant_settings.remove_tenant(connection, id)

    worlds = _run(mode, file, assignments, data, id, work)
    if worlds:
        raise Conflict(f"tenant {id!r} has the world {worlds[0]!r}", hint="suspend it, or erase its worlds first")
    profile = chosen_profile(mode, file, assignments, data)
    drop_recordings(Path(profile.server.data_folder) / profile.modules["behavior"].recording.folder, id)
    click.echo(f"removed {id}")


def _require(connection: Any, id: str) -> None:
    known = repositories.tenant_ids(connection)
    if id not in known:
        raise NotFound(f"no tenant {id!r}", hint=nearest(id, known))


def _assign(tree: dict[str, Any], text: str) -> None:
    """Put `a.b=value` into the tree; what is no JSON is taken as text, and commas part what is a list there."""
    key, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"{text!r} has no '='", hint="write engines=openai,llama")
    *parents, leaf = key.split(".")
    table = tree
    for parent in parents:
        table = table.setdefault(parent, {})
    if isinstance(table.get(leaf), list | tuple):
        table[leaf] = [part.strip() for part in value.split(",") if part.strip()]
        return
    try:
        table[leaf] = msgspec.json.decode(value)
    except msgspec.DecodeError:
        table[leaf] = value


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

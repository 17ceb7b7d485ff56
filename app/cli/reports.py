"""`manage.py reports`: what players reported, straight in the database, beside a running server or without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import msgspec

from app.build.audit import open_trail
from app.cli.offline import chosen_profile, with_schema
from app.cli.prompts import ACTOR, tenant_options
from app.control.reports import ReportDesk
from app.core.clock import SystemClock
from app.stores.database import Database
from app.stores.reports import DatabaseReports
from app.telemetry.logs import open_log

SHOWN_MAX = 1_000
T = TypeVar("T")


@click.group()
def reports() -> None:
    """List, show and settle what players reported."""


def _at_desk(chosen: dict[str, Any], work: Callable[[ReportDesk], Awaitable[T]]) -> T:
    """The result of `work` at the desk; what it did is in the audit trail when this returns."""
    profile = chosen_profile(chosen["mode"], chosen["file"], chosen["assignments"], chosen["data"])
    clock = SystemClock()

    async def run(database: Database) -> T:
        await database.upgrade()
        trail = await open_trail(database, profile, clock, open_log(level="error", format="console"))
        try:
            return await work(ReportDesk(DatabaseReports(database), clock=clock, audit=trail))
        finally:
            await trail.close()

    return with_schema(profile, run)


@reports.command("list")
@tenant_options
@click.option("--all", "everything", is_flag=True, help="Those that are settled too.")
@click.option("--after", default="", help="Begin behind this report.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects, with what was said.")
def list_(everything: bool, after: str, as_json: bool, **chosen: Any) -> None:
    """Show the open reports, the oldest first; never what was said, but with --json."""
    state = None if everything else "open"
    found = _at_desk(chosen, lambda desk: desk.page(chosen["tenant"], state=state, after=after, most=SHOWN_MAX))  # type: ignore[arg-type]  # one of the two
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for one in found:
        written = "by a model" if one.ai_generated else "authored"
        click.echo(f"{one.id}  {one.state:8}{one.category:13}{one.world}  {one.npc or '-'}  {written}")


@reports.command()
@tenant_options
@click.argument("id")
def show(id: str, **chosen: Any) -> None:
    """Print the report ID as JSON, with the line and what the player wrote."""
    found = _at_desk(chosen, lambda desk: desk.get(chosen["tenant"], ACTOR, id))
    click.echo(msgspec.json.encode(found).decode())


@reports.command()
@tenant_options
@click.argument("id")
@click.argument("note")
def settle(id: str, note: str, **chosen: Any) -> None:
    """Close the report ID with a NOTE on what was decided."""
    done = _at_desk(chosen, lambda desk: desk.settle(chosen["tenant"], ACTOR, id, note))
    click.echo(f"{done.id} is settled")

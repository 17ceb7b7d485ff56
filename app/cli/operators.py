"""`manage.py operator`: the people who run a tenant, straight in the database; servers learn of it within a second."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import structlog

from app.build.access import DEFAULT_TENANT, open_access
from app.build.audit import open_trail
from app.build.operators import DatabaseOperators
from app.cli.offline import database_of
from app.cli.options import load_profile, profile_options
from app.cli.serve import ADDRESS_FILE, KEY_FILE, write_private
from app.control.operators import Invited, Operators, invitation_link
from app.control.permissions import Role
from app.core.clock import SystemClock
from app.core.profile import Profile

T = TypeVar("T")
tenant_option = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose people they are.")


@click.group()
def operator() -> None:
    """Invite people who run a tenant, list them, and change what they may."""


def _run(profile: Profile, work: Callable[[Operators], Awaitable[T]]) -> T:
    """The result of `work` over the operators in the profile's database."""

    async def run() -> T:
        database, clock, log = database_of(profile), SystemClock(), structlog.get_logger()
        try:
            await database.upgrade()
            audit = await open_trail(database, profile, clock, log)
            access = await open_access(database, profile, clock=clock, log=log, audit=audit)
            if access.first_key:  # the database is new: what a first start leaves for its keeper is left here too
                write_private(Path(profile.server.data_folder) / KEY_FILE, access.first_key)
            try:
                return await work(
                    Operators(
                        DatabaseOperators(database, database.vault),
                        access.grants,
                        clock=clock,
                        audit=audit,
                        settings=profile.sign_in,
                        learn=access.watch.learn,
                    )
                )
            finally:
                await access.watch.close()
                await audit.close()
        finally:
            await database.close()

    return asyncio.run(run())


@operator.command()
@profile_options
@tenant_option
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What the person may do.")
@click.argument("login")
def invite(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, role: str, login: str) -> None:
    """Invite LOGIN and print a link, good once and for a day."""
    profile = load_profile(mode, file, assignments).profile
    _print_link(profile, _run(profile, lambda o: o.invite_from_host(tenant, login=login, role=Role(role))))


@operator.command(name="list")
@profile_options
@tenant_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, as_json: bool) -> None:
    """List the people, with their second factors."""
    found = _run(load_profile(mode, file, assignments).profile, lambda o: o.all(tenant))
    shown = [
        {
            "id": one.id,
            "login": one.login,
            "role": one.role.value,
            "factors": one.factors,
            "state": "disabled" if one.disabled_ms else "joined" if one.joined_ms else "invited",
        }
        for one in found
    ]
    if as_json:
        click.echo(json.dumps(shown))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "login", "role", "factors", "state")
    for row in shown:
        table.add_row(str(row["id"]), str(row["login"]), str(row["role"]), ", ".join(row["factors"]), str(row["state"]))
    Console().print(table)


@operator.command()
@profile_options
@tenant_option
@click.argument("login")
def disable(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, login: str) -> None:
    """Keep LOGIN out from now on, and end every sign-in of theirs."""
    _change(load_profile(mode, file, assignments).profile, tenant, login, disabled=True)
    click.echo(f"disabled {login}")


@operator.command()
@profile_options
@tenant_option
@click.argument("login")
def enable(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, login: str) -> None:
    """Let LOGIN sign in again."""
    _change(load_profile(mode, file, assignments).profile, tenant, login, disabled=False)
    click.echo(f"enabled {login}")


@operator.command()
@profile_options
@tenant_option
@click.argument("login")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def role(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, login: str, role: str) -> None:
    """Give LOGIN another ROLE."""
    _change(load_profile(mode, file, assignments).profile, tenant, login, role=Role(role))
    click.echo(f"{login} is {role} now")


@operator.command(name="reset-factors")
@profile_options
@tenant_option
@click.argument("login")
def reset_factors(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, login: str) -> None:
    """Take password and factors of LOGIN away, end every sign-in, and print a link to choose new ones."""
    profile = load_profile(mode, file, assignments).profile

    async def work(operators: Operators) -> Invited:
        return await operators.reset_from_host(tenant, (await operators.find(tenant, login)).id)

    _print_link(profile, _run(profile, work))


def _change(
    profile: Profile, tenant: str, login: str, *, role: Role | None = None, disabled: bool | None = None
) -> None:
    async def work(operators: Operators) -> None:
        found = await operators.find(tenant, login)
        await operators.change_from_host(tenant, found.id, role=role, disabled=disabled)

    _run(profile, work)


def _print_link(profile: Profile, invited: Invited) -> None:
    """The link on standard output: at the profile's address, or at that of the server on the data folder."""
    url = profile.sign_in.url
    if not url:
        try:
            url = json.loads((Path(profile.server.data_folder) / ADDRESS_FILE).read_text())["url"]
        except OSError:
            url = f"http://{profile.server.host}:{profile.server.port}"
    click.echo(invitation_link(url, invited.code))

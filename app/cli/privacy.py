"""`manage.py privacy`: what is held of a person, and the ways to be rid of it.

A running server on the data folder is asked over its own address; without one the database is worked on directly.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from app.build.access import DEFAULT_TENANT
from app.build.privacy import persons_of
from app.build.responses import forget_shared
from app.cli.offline import chosen_profile, progress, with_schema
from app.cli.options import profile_options
from app.cli.serve import ADDRESS_FILE, KEY_FILE
from app.core.clock import SystemClock
from app.core.errors import Conflict, NotFound, Unavailable, from_code
from app.core.profile import Profile
from app.stores.backup_keys import shred
from app.stores.database import Database
from app.stores.tombstones import Left
from app.telemetry.logs import open_log

F = TypeVar("F", bound=Callable[..., Any])
WAIT_S = 30.0
PAUSE_S = 0.05


@click.group()
def privacy() -> None:
    """Report, export, erase, anonymize or restrict what is held of a person."""


def subject_options(command: F) -> F:
    """SUBJECT, `--tenant`, `--data` and the profile's own."""
    for option in (
        click.argument("subject"),
        click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose player it is."),
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database."),
        profile_options,
    ):
        command = option(command)
    return command


@privacy.command()
@subject_options
def report(**options: Any) -> None:
    """Count what is held of SUBJECT, and say for how long."""
    _tell(_asked(options, "GET", "report", lambda held: {name: len(held[name]) for name in ("events", "usage")}))


@privacy.command()
@subject_options
def export(**options: Any) -> None:
    """Print everything that is held of SUBJECT as one JSON object."""
    _tell(_asked(options, "GET", "export", lambda held: held))


@privacy.command()
@subject_options
@click.option(
    "--backups", multiple=True, type=click.Path(path_type=Path, exists=True), help="A backup to be freed too."
)
def erase(backups: tuple[Path, ...], **options: Any) -> None:
    """Forget SUBJECT, here and in the backups that are named."""
    _forget(options, "erase", "totals", backups)


@privacy.command()
@subject_options
@click.option(
    "--backups", multiple=True, type=click.Path(path_type=Path, exists=True), help="A backup to be freed too."
)
def anonymize(backups: tuple[Path, ...], **options: Any) -> None:
    """Forget who SUBJECT is and what was said, and keep the numbers under an alias."""
    _forget(options, "anonymize", "numbers", backups)


@privacy.command()
@subject_options
def restrict(**options: Any) -> None:
    """Hold what is known of SUBJECT without using it; needs a running server."""
    _tell(_asked(options, "POST", "restrict", None))


@privacy.command()
@subject_options
def unrestrict(**options: Any) -> None:
    """Use what is known of SUBJECT again; needs a running server."""
    _tell(_asked(options, "POST", "unrestrict", None))


@privacy.command()
@profile_options
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")
def retain(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None) -> None:
    """Delete what is older than its retention."""
    from app.stores.retention import forget_old
    from app.stores.tenancy import EVERY_TENANT

    profile = chosen_profile(mode, file, assignments, data)
    now_ms = SystemClock().wall_ms()

    async def work(database: Database) -> dict[str, int]:
        return await database.run_long(EVERY_TENANT, lambda c: forget_old(c, profile.privacy, now_ms))

    _tell(with_schema(profile, work))


@privacy.command("data-map")
def data_map() -> None:
    """Print the data map, as it stands in docs/data-map.md."""
    from app.stores.classes import data_map as page

    click.echo(page(), nl=False)


def _forget(options: dict[str, Any], verb: str, left: Left, backups: tuple[Path, ...]) -> None:
    tenant, subject = options["tenant"], options["subject"]
    for folder in backups:
        click.echo(f"{folder}: {shred(folder, tenant, [subject])} keys shredded", err=True)
    profile = _profile(options)
    address = _address(profile)
    if address is not None:
        told = _ask(address, "POST", _path(subject, verb))
        until_s = time.monotonic() + WAIT_S
        while told["finished_ms"] is None and time.monotonic() < until_s:
            time.sleep(PAUSE_S)
            told = _ask(address, "GET", f"/v1/privacy/erasures/{told['erasure']}")
        _tell(told)
        return

    async def work(database: Database) -> dict[str, Any]:
        persons = persons_of(database, profile, SystemClock())
        if not await persons.worlds(tenant, subject):
            raise NotFound(f"nothing is held of {subject!r}", hint="ids are the game server's own")
        log = open_log(level="error", format=profile.telemetry.log_format)
        await forget_shared(profile, tenant, subject, clock=SystemClock(), log=log)
        erasure = await persons.begin(tenant, subject, left)
        with progress("erase", 0) as told:
            rows = await persons.erase_offline(erasure, told=told)
        return {"erasure": erasure.alias, "left": erasure.left, "rows": rows}

    _tell(with_schema(profile, work))


def _asked(
    options: dict[str, Any], method: str, verb: str, offline: Callable[[dict[str, Any]], dict[str, Any]] | None
) -> dict[str, Any]:
    """The running server's answer, or what `offline` makes of what the database holds; raises Conflict for neither."""
    profile = _profile(options)
    address = _address(profile)
    if address is not None:
        return _ask(address, method, _path(options["subject"], verb))
    if offline is None:
        raise Conflict("no server runs on this data folder", hint="start it; a restriction is an event of its worlds")
    make = offline

    async def work(database: Database) -> dict[str, Any]:
        persons = persons_of(database, profile, SystemClock())
        held = await persons.held(options["tenant"], options["subject"])
        return {"subject": options["subject"], **make(held)}

    return with_schema(profile, work)


def _profile(options: dict[str, Any]) -> Profile:
    return chosen_profile(options["mode"], options["file"], options["assignments"], options["data"])


def _path(subject: str, verb: str) -> str:
    return f"/v1/privacy/subjects/{quote(subject, safe='')}/{verb}"


def _address(profile: Profile) -> tuple[str, str] | None:
    """(address, key) of the server that runs on the data folder; None without one."""
    folder = Path(profile.server.data_folder)
    try:
        return json.loads((folder / ADDRESS_FILE).read_text())["url"], (folder / KEY_FILE).read_text()
    except (OSError, ValueError, KeyError):
        return None


def _ask(address: tuple[str, str], method: str, path: str) -> dict[str, Any]:
    url, key = address
    headers = {"Authorization": f"Bearer {key}"}
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request(f"{url}{path}", data=body, headers=headers, method=method)  # noqa: S310  # our own server
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  # as above
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            told = json.load(error)
        raise from_code(told["code"], told.get("detail", ""), hint=told.get("hint", "")) from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise Unavailable(f"the server at {url} does not answer: {error}", hint="is it still running?") from error


def _tell(found: object) -> None:
    click.echo(msgspec.json.encode(found).decode())

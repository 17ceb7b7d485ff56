"""`manage.py audit`: a tenant's audit trail, beside a running server or without one.

Exit code of `verify`: 0 it holds, 1 it was tampered with.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import click
import msgspec

from app.build.access import DEFAULT_TENANT
from app.build.audit import open_chains
from app.cli.offline import chosen_profile, progress, with_schema
from app.cli.options import profile_options
from app.control.audit import DAY_MS, HOST, Trail, cut
from app.control.audit_check import SEQ_MAX, read_checkpoints, shown, verify
from app.core.chain import Chains, Checkpoint, Entry, Verdict
from app.core.clock import SystemClock
from app.core.errors import Invalid
from app.core.profile import Profile
from app.stores.database import Database
from app.telemetry.logs import open_log

TAMPERED = 1
PAGE_ENTRIES = 2_000


@click.group()
def audit() -> None:
    """Verify, export, show and cut the audit trail."""


def trail_options(command: click.decorators.FC) -> click.decorators.FC:
    """`--tenant` and `--data` for a command over one trail."""
    for option in (
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database."),
        click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help=f"Whose; {HOST} is the server's own."),
    ):
        command = option(command)
    return command


@audit.command("verify")
@profile_options
@trail_options
@click.option("--checkpoints", type=click.Path(path_type=Path), help="Checkpoints that were exported, one a line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify_(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    tenant: str,
    checkpoints: Path | None,
    as_json: bool,
) -> None:
    """Prove that nothing was changed, taken out, put in or cut off."""
    profile = chosen_profile(mode, file, assignments, data)
    exported = read_checkpoints(checkpoints) if checkpoints is not None else []
    found = with_schema(profile, lambda database: _verify(database, profile, tenant, exported))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo(_told(found))
    sys.exit(TAMPERED if found.fault is not None else 0)


async def _verify(database: Database, profile: Profile, tenant: str, exported: list[Checkpoint]) -> Verdict:
    chains = await open_chains(database, profile.audit.key_file)
    head_seq, _ = await chains.marks(tenant)
    with progress("verifying", head_seq) as told:
        return await verify(chains, tenant, exported=exported, told=told)


def _told(found: Verdict) -> str:
    looked_at = f"{found.entries} entries ({found.first_seq} to {found.last_seq}), {found.checkpoints} checkpoints"
    if found.fault is None:
        return f"the trail of {found.tenant!r} holds: {looked_at}"
    fault = found.fault
    return (
        f"the trail of {found.tenant!r} does not hold at entry {fault.seq}: {fault.kind}: {fault.detail} ({looked_at})"
    )


@audit.command()
@profile_options
@trail_options
@click.option("--after", default=0, help="Only entries behind this one.")
@click.option("--checkpoints", "only_marks", is_flag=True, help="The signed checkpoints in place of the entries.")
@click.option("--out", type=click.Path(path_type=Path, allow_dash=True), default="-", help="The file to write.")
def export(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    tenant: str,
    after: int,
    only_marks: bool,
    out: Path,
) -> None:
    """Write entries or checkpoints as JSON lines."""
    profile = chosen_profile(mode, file, assignments, data)

    async def work(database: Database) -> int:
        chains = await open_chains(database, profile.audit.key_file)
        written = 0
        with click.open_file(str(out), "wb") as lines:
            if only_marks:
                for mark in (await chains.marks(tenant))[1]:
                    lines.write(msgspec.json.encode(mark) + b"\n")
                    written += 1
                return written
            async for entry in _entries(chains, tenant, after):
                lines.write(msgspec.json.encode(shown(entry)) + b"\n")
                written += 1
        return written

    click.echo(f"{with_schema(profile, work)} lines exported", err=True)


async def _entries(chains: Chains, tenant: str, after_seq: int) -> AsyncIterator[Entry]:
    while page := await chains.page(tenant, after_seq, entries_max=PAGE_ENTRIES, until_seq=SEQ_MAX):
        for entry in page:
            yield entry
        after_seq = page[-1].seq


@audit.command()
@profile_options
@trail_options
@click.option("--entries", "entries_max", default=20, show_default=True, type=click.IntRange(1, PAGE_ENTRIES))
def tail(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenant: str, entries_max: int
) -> None:
    """Show the newest entries."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    profile = chosen_profile(mode, file, assignments, data)

    async def work(database: Database) -> list[Entry]:
        chains = await open_chains(database, profile.audit.key_file)
        head_seq, _ = await chains.marks(tenant)
        after_seq = max(0, head_seq - entries_max)
        return list(await chains.page(tenant, after_seq, entries_max=entries_max, until_seq=SEQ_MAX))

    table = Table("entry", "when (UTC)", "who", "did", "to", "details")
    for entry in with_schema(profile, work):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.wall_ms / 1000.0))
        details = ", ".join(f"{name}={value}" for name, value in json.loads(entry.details).items())
        cells = (str(entry.seq), when, entry.actor, entry.action, entry.target, details)
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@audit.command("cut")
@profile_options
@trail_options
@click.option("--days", type=click.IntRange(1), required=True, help="Entries that are older go.")
def cut_(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenant: str, days: int) -> None:
    """Delete what is old, at a signed checkpoint; what stays still verifies."""
    profile = chosen_profile(mode, file, assignments, data)
    clock = SystemClock()

    async def work(database: Database) -> int:
        chains = await open_chains(database, profile.audit.key_file)
        found = await verify(chains, tenant)
        if found.fault is not None:
            raise Invalid(_told(found), hint="keep it as it is: it is evidence")
        trail = Trail(chains, clock=clock, log=open_log(level="error", format="console"), queue_entries_max=10)
        now_ms = clock.wall_ms()
        gone = await cut(chains, trail, tenant, before_ms=now_ms - days * DAY_MS, now_ms=now_ms)
        await trail.close()
        return gone

    click.echo(f"{with_schema(profile, work)} entries of {tenant!r} were cut")

"""`manage.py guardrails`: the statement about live-generated content, from the profile that is chosen."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from app.build import ROOT
from app.cli.options import load_profile, profile_options
from app.control.guardrails import statement, to_markdown
from app.stores.classes import retentions


@click.command()
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", is_flag=True, help="Print a page; this is what is printed without an option too.")
def guardrails(mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool, markdown: bool) -> None:
    """Print which engines may write, what is checked and kept, and how to report, as stores ask for it."""
    if as_json and markdown:
        raise click.UsageError("give --json or --markdown, not both")
    profile = load_profile(mode, file, assignments).profile
    found = statement(profile, retentions(profile.privacy), root=ROOT)
    click.echo(msgspec.json.encode(found).decode() if as_json else to_markdown(found), nl=as_json)

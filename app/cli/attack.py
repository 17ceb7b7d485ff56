"""`manage.py attack`: any list of hostile prompts against a server of its own, and what got through."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from app.cli.attacks.prompts import read_prompts
from app.cli.attacks.runner import Report, run
from app.cli.attacks.stub import KINDS
from app.cli.offline import progress

FAILED = 1
SHOWN_MAX = 20
"""What got through and is told in full."""


@click.command()
@click.option(
    "--file", "files", multiple=True, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Prompts: one a line, a JSON list, JSONL or CSV with `prompt` or `text`, or TOML by family.",
)  # fmt: skip
@click.option("--stub", type=click.Choice([*KINDS, "all"]), default="all", show_default=True, help="Which model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def attack(files: tuple[Path, ...], stub: str, as_json: bool) -> None:
    """Type every prompt to NPCs that a hostile model speaks for; exit code 1 when anything got through."""
    prompts = [prompt for file in files for prompt in read_prompts(file)]
    with progress("attacking", len(prompts) * (len(KINDS) if stub == "all" else 1)) as told:
        report = run(prompts, stub, told)
    click.echo(msgspec.json.encode(report).decode() if as_json else _table(report))
    sys.exit(0 if report.held else FAILED)


def _table(report: Report) -> str:
    rows = [f"{'family':<24}{'tried':>8}{'effects':>9}{'leaks':>8}{'markup':>8}{'refused':>9}"]
    for name, row in sorted(report.families.items()):
        leaks = row.prompt_leaks + row.player_leaks
        rows.append(f"{name[:23]:<24}{row.tried:>8}{row.effects:>9}{leaks:>8}{row.markup:>8}{row.refused:>9}")
    leaks = report.prompt_leaks + report.player_leaks
    rows.append(
        f"{'all':<24}{report.cases:>8}{report.unauthorised_effects:>9}{leaks:>8}{report.markup:>8}{report.refused:>9}"
    )
    rows += [
        f"{each.kind} in {each.family} with {each.stub}: {each.what} {each.prompt!r} -> {each.line!r}"
        for each in report.through[:SHOWN_MAX]
    ]
    return "\n".join(rows)

"""`manage.py quests`: a studio's own quests, proved as a whole. It knows where each verb is and loads only that one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

VERBS: Mapping[str, tuple[str, str]] = {
    "audit": ("app.cli.quests.audit:audit", "Prove a studio's whole quest database, and say what is broken and why."),
    "export": ("app.cli.quests.exporting:export", "Write quests as JSON, ink, Yarn, Twee, SQL rows or a picture."),
    "import": ("app.cli.quests.exporting:import_", "Read quests from JSON, ink or Yarn, and keep them in a world."),
    "graph": ("app.cli.quests.exporting:graph", "Draw a quest with its certificate as SVG."),
    "schema": ("app.cli.quests.exporting:schema", "Print the JSON Schemas of quests and their files."),
}
"""verb -> (where its command is, its help)."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        where, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(where), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb][1]) for verb in sorted(VERBS)])


@click.group(cls=_Verbs)
def quests() -> None:
    """Prove a studio's own quests."""

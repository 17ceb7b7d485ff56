"""The command line: finds the verb, loads only its module, and turns errors into one line and an exit code.

Exit codes: 0 done, 1 a fault of ours, 2 the command line or the profile is wrong, 3 something is unavailable.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from app import __version__
from app.core.errors import Error, Refused, Unavailable

VERBS: Mapping[str, tuple[str, str]] = {
    "prove": ("app.cli.prove.command:prove", "Kill, break and restore servers, and print the figures."),
    "backup": ("app.cli.backup:backup", "Copy the database while the server runs."),
    "restore": ("app.cli.backup:restore", "Put a backup in the place of an empty database."),
    "verify": ("app.cli.backup:verify", "Prove that a backup can be restored."),
    "events": ("app.cli.events:events", "Export the event log, or rebuild from it."),
    "db": ("app.cli.db:db", "Upgrade and check the database's schema."),
    "demo": ("app.cli.demo.command:demo", "Run the server and a village that lives on it."),
    "serve": ("app.cli.serve:serve", "Start the server."),
    "console": ("app.cli.console:console", "Print a link that opens the console of the running server."),
    "doctor": ("app.cli.doctor:doctor", "Say what this machine can run and what is missing."),
    "profile": ("app.cli.profiles:profile", "Show the profile with the origin of every value."),
    "behavior": ("app.cli.behavior:behavior", "Show or check what NPCs see and may want."),
    "train": ("app.cli.train:train", "Teach a policy on this machine."),
    "models": ("app.cli.models:models", "Make networks smaller, list and check them; import a GGUF."),
    "prices": ("app.cli.prices:prices", "Make and check what models cost and what they take."),
    "memory": ("app.cli.memory:memory", "Measure how well NPCs remember."),
    "features": ("app.cli.features:features", "Vectors of players and NPCs, their history and transformations."),
    "batches": ("app.cli.batches:batches", "List, show and cancel work that can wait."),
    "moderation": ("app.cli.moderation:moderation", "Try and measure what NPCs and players may say."),
    "characters": ("app.cli.cards:characters", "Import Tavern character cards and lorebooks; make people."),
    "content": ("app.cli.content:content", "Make items, lore and barks for a world."),
    "guardrails": ("app.cli.guardrails:guardrails", "Print the statement about live-generated content."),
    "reports": ("app.cli.reports:reports", "List and settle what players reported."),
    "usage": ("app.cli.usage:usage", "Show what models have cost, by world, NPC, player and engine."),
    "attack": ("app.cli.attack:attack", "Try hostile prompts against the truth gate, and count what gets through."),
    "prompts": ("app.cli.prompts:prompts", "Put, check, label and try the prompts of a tenant."),
    "quests": ("app.cli.quests:quests", "Prove a studio's own quests."),
    "stories": ("app.cli.stories:stories", "Check, play and import dialogue graphs in ink or Yarn."),
    "audit": ("app.cli.audit:audit", "Verify, export, show and cut the audit trail."),
    "tenant": ("app.cli.tenants:tenant", "Make tenants, and set, suspend or remove them."),
    "privacy": ("app.cli.privacy:privacy", "Report, export or erase what is held of a person."),
    "vault": ("app.cli.vault:vault", "Rotate the master key that wraps all others."),
    "operator": ("app.cli.operators:operator", "Invite people who run a tenant, and change what they may."),
    "key": ("app.cli.keys:key", "Make, list and revoke API keys."),
    "keyring": ("app.cli.keyring:keyring", "List, rotate and retire the keys that sign tokens."),
}
"""verb -> (where its command is, its help); a verb is imported only when it runs."""


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


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="innkeeper")
def cli() -> None:
    """Innkeeper gives a game's NPCs a mind, from one process of your own."""


def main() -> NoReturn:
    """Run the verb that argv names."""
    # A pool of numpy's would spin beside the threads that run networks; it reads this when it is first imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        cli.main(prog_name="manage.py", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except Error as error:
        click.echo(f"error: {error.message}", err=True)
        if error.hint:
            click.echo(f"  hint: {error.hint}", err=True)
        sys.exit(2 if isinstance(error, Refused) else 3 if isinstance(error, Unavailable) else 1)
    sys.exit(0)

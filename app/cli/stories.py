"""`manage.py stories`: a studio's dialogue graphs checked, played and put where the server finds them.

It needs no server and no database.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.modules.dialogue.stories.graph import Row
    from app.modules.dialogue.stories.model import Beat, Story, Value

FAILED = 1


@click.group()
def stories() -> None:
    """Check, play and import dialogue graphs written in ink or Yarn Spinner."""


@stories.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--svg", type=click.Path(file_okay=False, path_type=Path), help="Folder for a picture of each graph.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file.")
def check(files: tuple[Path, ...], svg: Path | None, as_json: bool) -> None:
    """Compile FILES and show their nodes: gates, words, what nothing leads to, where the flow runs out.

    Exit code 1 where a file does not compile or a line's tags ask for what cannot be.
    """
    import msgspec

    from app.core.errors import Error
    from app.modules.dialogue.stories import graph, shelf
    from app.modules.dialogue.stories.limits import Limits

    failed = False
    for path in files:
        try:
            story = shelf.compile_file(path, Limits())
        except Error as error:
            click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
            failed = True
            continue
        rows, faults = graph.rows(story), graph.faults(story)
        failed = failed or bool(faults)
        if as_json:
            body = {"story": story.name, "syntax": story.syntax, "nodes": rows, "faults": faults}
            click.echo(msgspec.json.encode(body))
        else:
            _print(story, rows)
        for fault in faults:
            click.echo(f"error: {fault}", err=True)
        if svg is not None:
            svg.mkdir(parents=True, exist_ok=True)
            (svg / f"{story.name}.svg").write_text(graph.picture(story), encoding="utf-8")
    sys.exit(FAILED if failed else 0)


def _print(story: Story, rows: list[Row]) -> None:
    click.echo(f"{story.name} ({story.syntax}), {len(rows)} nodes, starts at {story.start}")
    click.echo(f"{'line':>5} {'node':40} {'kind':8} {'choices':>7} {'gates':>5} {'acts':>4} {'words':>5}  remarks")
    for row in rows:
        dead = "runs out" if row.dead_end else ""
        lost = "" if row.reachable or row.kind == "function" else "nothing leads here"
        echo = "says the choice again; put it in [brackets]" if row.echoes else ""
        remarks = ", ".join(word for word in (dead, lost, echo) if word)
        counts = f"{row.choices:>7} {row.gates:>5} {row.acts:>4} {row.words:>5}"
        click.echo(f"{row.line:>5} {row.name[:40]:40} {row.kind:8} {counts}  {remarks}".rstrip())
    words = sum(row.words for row in rows)
    lost_many = sum(not row.reachable and row.kind != "function" for row in rows)
    click.echo(f"{words} words; {sum(row.dead_end for row in rows)} run out, nothing leads to {lost_many}")


@stories.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--node", default="", help="Where to begin, if not at the start.")
@click.option("--seed", type=int, default=0, show_default=True, help="What chance draws from.")
@click.option("--fact", "facts", multiple=True, metavar="SUBJECT.PREDICATE=VALUE", help="What holds in the world.")
def play(file: Path, node: str, seed: int, facts: tuple[str, ...]) -> None:
    """Play FILE in the terminal: choose by number, by the words of a choice, or leave with an empty line.

    Facts are as `world.hour=22`, `npc.relation=0.4`, `player.has sword=true`, `q7.quest=active`.
    """
    from app.modules.dialogue import intents
    from app.modules.dialogue.stories import machine, matching, shelf
    from app.modules.dialogue.stories.limits import Limits
    from app.modules.dialogue.stories.view import Table

    limits, lexicon = Limits(), intents.load("en")
    story = shelf.compile_file(file, limits)
    view = Table(dict(_fact(text) for text in facts))
    beat = machine.step(story, machine.begin(story, node=node, seed=seed), view, limits)
    while True:
        _show(beat)
        choices = [choice.text for choice in beat.run.choices]
        if not choices:
            return
        heard = click.prompt(">", prompt_suffix=" ", default="", show_default=False)
        if not heard:
            return
        number = matching.matched(choices, heard, lexicon, limits)
        if number is None:
            click.echo("  (that is none of them)")
            beat = _silent(beat)
        else:
            beat = machine.choose(story, beat.run, number, view, limits)


def _silent(beat: Beat) -> Beat:
    """The beat with nothing to say, so that only its choices are shown again."""
    import msgspec

    return msgspec.structs.replace(beat, lines=(), acts=(), faults=())


def _show(beat: Beat) -> None:
    from app.modules.dialogue.stories import saying

    for line in beat.lines:
        tags = f"   [{', '.join(line.tags)}]" if line.tags else ""
        click.echo(f"{line.speaker + ': ' if line.speaker else ''}{saying.verbatim(line)}{tags}")
    for act in beat.acts:
        click.echo(f"  (proposes {act.action} {' '.join(f'{name}={value}' for name, value in act.arguments.items())})")
    for fault in beat.faults:
        click.echo(f"  (fault: {fault})", err=True)
    for number, choice in enumerate(beat.run.choices, 1):
        click.echo(f"  {number}. {choice.text}")


def _fact(text: str) -> tuple[tuple[str, str], Value]:
    from app.core.errors import Invalid

    named, equals, value = text.partition("=")
    subject, dot, predicate = named.partition(".")
    if not equals or not dot or not predicate:
        raise Invalid(f"{text!r} is no fact", hint="write SUBJECT.PREDICATE=VALUE, such as world.hour=22")
    if value in ("true", "false"):
        return (subject, predicate), value == "true"
    try:
        return (subject, predicate), float(value)
    except ValueError:
        return (subject, predicate), value


@stories.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--content",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The studio's folder, as modules.dialogue.content_folder of the profile.",
)
def import_(files: tuple[Path, ...], content: Path) -> None:
    """Check FILES and copy them, with what they include, to stories/ of the content folder; all of them or none."""
    from app.core.errors import Invalid
    from app.modules.dialogue.stories import graph, shelf
    from app.modules.dialogue.stories.limits import Limits

    limits = Limits()
    wanted: dict[str, Path] = {}
    for path in files:
        story = shelf.compile_file(path, limits)
        for fault in graph.faults(story):
            raise Invalid(fault, hint="see docs/how-to/stories.md")
        wanted |= {each.name: each for each in shelf.files_of(path, limits)}
    folder = content / shelf.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in wanted.items():
        if path.resolve() != (folder / name).resolve():
            shutil.copyfile(path, folder / name)
    shelf.load(str(content), limits)
    for path in files:
        click.echo(
            f"{path.name}: attach it by the NPC's attribute story = {path.stem!r};"
            " a running server reads it at its next start"
        )

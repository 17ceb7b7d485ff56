"""`manage.py content`: items, lore and barks from a seed and a file of a world, or from a running server.

Without --url nothing but the file is read, and nothing is kept. The file has the shape that `characters import --out`
writes: `entities` and `facts`.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from app.core.errors import Invalid, Unavailable, from_code

if TYPE_CHECKING:
    from app.modules.content.messages import Barks, Generated, Items, Lore
    from app.world.state import World

F = TypeVar("F", bound=Callable[..., Any])
WAIT_S = 30.0
FILE_BYTES_MAX = 64 << 20


def _options(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the whole reply as JSON."),
        click.option("--commit", default="", metavar="KEY", help="Keep it in the server's world, under this key."),
        click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="A file with an API key."),
        click.option("--url", default="", help="A server, instead of a file; needs --key-file and --world."),
        click.option("--world", default="", help="The world on the server."),
        click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="JSON with entities and facts."),
        click.option("--language", default="en", show_default=True, help="Of names and texts: en or de."),
        click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="What chance draws from."),
    ):
        command = option(command)
    return command


@click.group()
def content() -> None:
    """Make items, lore and barks for a world."""


@content.command()
@click.option("--level", type=click.IntRange(1, 1_000), default=1, show_default=True)
@click.option("--count", type=click.IntRange(1, 200), default=10, show_default=True)
@click.option("--kind", "kinds", multiple=True, help="A kind or group, such as sword or weapon; any when left out.")
@click.option("--rarity", default="", help="common, uncommon, rare, epic or legendary.")
@click.option("--opens", multiple=True, metavar="PLACE", help="A place that gets a key.")
@_options
def items(level: int, count: int, kinds: tuple[str, ...], rarity: str, opens: tuple[str, ...], **more: Any) -> None:
    """Items of a level, inside their power budget."""
    from app.modules.content.messages import Items

    make = Items(level=level, count=count, kinds=kinds, rarity=rarity, opens=opens, language=more["language"])
    _print(_made(make, **more), more["as_json"])


@content.command()
@click.option("--known-by", multiple=True, metavar="ID", help="Who knows of it; everybody when left out.")
@click.argument("subjects", metavar="ID...", nargs=-1, required=True)
@_options
def lore(known_by: tuple[str, ...], subjects: tuple[str, ...], **more: Any) -> None:
    """Facts about places, factions, NPCs and storied items, and the sentences that tell them."""
    from app.modules.content.messages import Lore

    make = Lore(subjects=subjects, known_by=known_by, language=more["language"])
    _print(_made(make, **more), more["as_json"])


@content.command()
@click.option("--npc", default="", help="Whose they are; --commit keeps them in its persona.")
@click.option("--archetype", default="", help="Of which trade, where no NPC is named.")
@click.option("--mood", "moods", multiple=True, help="calm, cheerful, grim, angry, afraid or weary.")
@click.option("--relation", "relations", multiple=True, help="friend, stranger or foe.")
@click.option("--fact", "facts", multiple=True, metavar="'SUBJECT PREDICATE'", help="A fact that is told.")
@click.option("--count", type=click.IntRange(1, 400), default=8, show_default=True, help="Lines of each combination.")
@click.argument("events", metavar="EVENT...", nargs=-1, required=True)
@_options
def barks(events: tuple[str, ...], **more: Any) -> None:
    """Short lines for each EVENT: a verb of world.event, a family such as trade, weather, idle or player_seen."""
    from app.modules.content.messages import Barks

    named = {name: more.pop(name) for name in ("npc", "archetype", "moods", "relations", "facts", "count")}
    make = msgspec.convert({"what": "barks", "events": events, "language": more["language"], **named}, Barks)
    _print(_made(make, **more), more["as_json"])


def _made(
    make: Items | Lore | Barks,
    *,
    seed: int,
    file: Path | None,
    world: str,
    url: str,
    key_file: Path | None,
    commit: str,
    **_more: Any,
) -> Generated:
    if url:
        if not world or key_file is None:
            raise click.UsageError("--url needs --world and --key-file")
        return _asked(
            url.rstrip("/"),
            key_file,
            {"world": world, "make": make, "seed": seed, "commit": bool(commit), "key": commit},
        )
    if commit:
        raise click.UsageError("--commit needs --url; without a server there is nothing to keep it in")
    return _offline(make, seed, _world(file))


def _offline(make: Items | Lore | Barks, seed: int, world: World) -> Generated:
    from app.modules.content import logic, messages
    from app.modules.content.settings import Settings

    library, settings = logic.load_library(), Settings()
    match make:
        case messages.Items():
            batch = logic.items(library, world, make, seed, settings)
        case messages.Barks():
            batch = logic.barks(library, world, make, seed, settings)
        case _:
            _, founded, entries = logic.entries(library, world, make, seed, settings)
            batch = logic.kept(founded, entries)
    return logic.reply(
        library, world, messages.Generate(make=make), batch.changes, seed, batch.lines, seq=world.state.seq
    )


def _world(file: Path | None) -> World:
    """The world of a file; an empty one without."""
    from app.core.messages import Event
    from app.world import reducers
    from app.world.entities import AnyEntity, Fact
    from app.world.events import EntityUpserted, FactAsserted
    from app.world.state import World

    world = World("file", "file")
    if file is None:
        return world
    try:
        data = file.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise Invalid(f"{str(file)!r} has {len(data)} bytes", hint=f"{FILE_BYTES_MAX} is the most")
        tree = msgspec.json.decode(data)
        entities = msgspec.convert(tree.get("entities", []), list[AnyEntity])
        facts = msgspec.convert(tree.get("facts", []), list[Fact])
    except (OSError, msgspec.MsgspecError, AttributeError) as error:
        raise Invalid(f"{str(file)!r} holds no world: {error}", hint="JSON with entities and facts") from error
    changes = [*(EntityUpserted(entity=each) for each in entities), *(FactAsserted(fact=each) for each in facts)]
    for seq, change in enumerate(changes, 1):
        reducers.check(world, change)
        reducers.apply(world.state, Event(seq=seq, id=f"e{seq}", wall_ms=0, game_s=0.0, change=change))
    return world


def _asked(url: str, key_file: Path, data: dict[str, Any]) -> Generated:
    from app.modules.content.messages import Generated

    if not url.startswith(("http://", "https://")):
        raise Invalid(f"{url!r} is no address of a server", hint="http://127.0.0.1:8717")
    try:
        key = key_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{str(key_file)!r} holds no key", hint="manage.py key create makes one") from error
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = msgspec.json.encode(data)
    request = urllib.request.Request(f"{url}/v1/content/generate", data=body, headers=headers, method="POST")  # noqa: S310  # http or https
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  # as above
            return msgspec.json.decode(answer.read(), type=Generated)
    except urllib.error.HTTPError as error:
        with error:
            told = json.load(error)
        raise from_code(told["code"], told.get("detail", ""), hint=told.get("hint", "")) from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise Unavailable(f"the server at {url} does not answer: {error}", hint="is it running?") from error


def _print(made: Generated, as_json: bool) -> None:  # a flag of the command line
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(made), indent=1))
        return
    for item, note in zip(made.items, made.notes, strict=True):
        stats = ", ".join(f"{name} {value:g}" for name, value in item.attributes.items() if isinstance(value, float))
        power = f"{note.power} of {note.budget_min}-{note.budget_max}"
        click.echo(f"{item.attributes['rarity']!s:10} {item.name:38} {item.value:>8g}  {power:14} {stats}")
    for text in made.lore:
        circle = f", known by {', '.join(text.known_by)}" if text.known_by else ""
        click.echo(f"{text.id} (called by {', '.join(text.keys)}{circle})")
        for sentence in text.sentences:
            click.echo(f"  {sentence.text}\n    [{'; '.join(sentence.cites)}]")
    for row in made.barks:
        click.echo(row.intent)
        for line in row.lines:
            click.echo(f"  {line}")
    if made.short:
        click.echo(f"{made.short} fewer than asked: there are no more that differ", err=True)

"""`manage.py characters`: other people's characters and lorebooks, into a world or a file; and new people, made to fit.

Every file is read before anything is written, so one that cannot be read changes nothing.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from app.core.errors import Conflict, Invalid, Unavailable, from_code
from app.modules.characters.messages import PEOPLE_MAX, Language, Plan
from app.world.cards import FILE_BYTES_MAX, Imported, read
from app.world.moderation import DEFAULT_RATING, Moderation

WAIT_S = 30.0
FACTS_AT_ONCE = 1_000


@click.group()
def characters() -> None:
    """Import Tavern character cards and lorebooks; make people who fit a world."""


@characters.command("import")
@click.option("--world", default="", help="The world that they come into; needs --url and --key-file.")
@click.option("--url", default="http://127.0.0.1:8717", show_default=True, help="Where the server is.")
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="A file with an API key.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A JSON file of entities and facts.")
@click.option("--known-by", multiple=True, metavar="ID", help="Who knows the lore; everybody when left out.")
@click.option("--rating", default=DEFAULT_RATING, show_default=True, help="Warn of lines that it does not let through.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
def import_(
    world: str,
    url: str,
    key_file: Path | None,
    out: Path | None,
    known_by: tuple[str, ...],
    rating: str,
    files: tuple[Path, ...],
) -> None:
    """Read each FILE, a card (V1, V2, V3; JSON or PNG) or a world-info JSON, and say what was left out of it."""
    if world and out is not None:
        raise click.UsageError("give --world or --out, not both")
    if world and key_file is None:
        raise click.UsageError("--world needs --key-file, such as data/api-key")
    moderation = Moderation.load(rating)
    found = [_read(file, known_by) for file in files]
    _require_one_each(found)
    for one in found:
        _tell(one, moderation)
    entities = [npc for one in found for npc in one.npcs]
    facts = [fact for one in found for fact in one.facts]
    if out is not None:
        _write(out, {"entities": entities, "facts": facts})
        click.echo(f"{out}: {len(entities)} characters, {len(facts)} facts")
    elif world and key_file is not None:
        _send(url.rstrip("/"), _key(key_file), world, entities, facts)
        click.echo(f"{world}: {len(entities)} characters, {len(facts)} facts")


@characters.command("generate")
@click.option("--world", required=True, help="The world that they come into.")
@click.option("--url", default="http://127.0.0.1:8717", show_default=True, help="Where the server is.")
@click.option(
    "--key-file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A file with an API key."
)
@click.option(
    "--plan", default="person", show_default=True, type=click.Choice(get_args(Plan)), help="Who is made together."
)
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, PEOPLE_MAX), help="How many.")
@click.option("--place", default="", metavar="ID", help="Where they live, or work; drawn when left out.")
@click.option("--faction", default="", metavar="ID", help="Whose they are.")
@click.option("--archetype", default="", help="The trade, for the plan `person`.")
@click.option("--culture", default="", help="The grammar of their names: vale, tal, fjord or harbor.")
@click.option(
    "--language", default="en", show_default=True, type=click.Choice(get_args(Language)), help="Of the texts."
)
@click.option("--level", default=0, type=click.IntRange(0), help="The middle of the level band; 0 is the trade's own.")
@click.option("--seed", type=click.IntRange(0), help="The same seed in the same world makes the same people.")
@click.option("--words", is_flag=True, help="Let a model word the summaries, where the server has one.")
@click.option("--preview", is_flag=True, help="Show them and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's reply.")
def generate(
    world: str, url: str, key_file: Path, plan: str, count: int, place: str, faction: str, archetype: str, culture: str,
    language: str, level: int, seed: int | None, words: bool, preview: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make people who contradict nothing that the world knows, and say who they are."""
    asked = {
        "world": world, "plan": plan, "count": count, "place": place, "faction": faction, "archetype": archetype,
        "culture": culture, "language": language, "level": level, "words": words, "commit": not preview,
        **({} if seed is None else {"seed": seed}),
    }  # fmt: skip
    told = _post(url.rstrip("/"), _key(key_file), "characters/generate", asked)
    if as_json:
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    for one in told["characters"]:
        click.echo(_introduced(one))
    state = "are in the world" if told["committed"] else "were made for show; nothing was written"
    click.echo(f"{world}: {len(told['characters'])} people {state} (event {told['seq']})", err=True)


def _introduced(one: dict[str, Any]) -> str:
    """A person on a few lines: who, where, in words, and what is between it and others."""
    npc = one["npc"]
    where = f"lives at {npc['home']}" + (f", works at {npc['work']}" if npc["work"] else "")
    ties = ", ".join(f"{tie['kind'].replace('_', ' ')} {tie['other']}" for tie in one["ties"])
    secrets = [fact["value"] for fact in one["facts"] if fact["known_by"]]
    items = ", ".join(item["name"] for item in one["items"])
    lines = [
        f"{npc['name']} ({npc['id']}), {npc['archetype']}, {npc['attributes']['age']:g}, level {npc['level']}; {where}",
        f"  {npc['persona']['summary']}",
        f"  voice: {npc['persona']['voice']}; traits: {', '.join(npc['persona']['traits'])}; carries: {items}",
        *(f"  wants: {goal}" for goal in npc["persona"]["goals"]),
        *([f"  ties: {ties}"] if ties else []),
        *(f"  knows: {secret}" for secret in secrets),
    ]
    return "\n".join(lines)


def _read(file: Path, known_by: tuple[str, ...]) -> Imported:
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Invalid(f"{str(file)!r} cannot be read: {error.strerror}", hint="check the path") from error
    return read(data, file.name, known_by=known_by)


def _require_one_each(found: Sequence[Imported]) -> None:
    """Raise Conflict where two files bring something of the same id."""
    owners: dict[str, str] = {}
    for one in found:
        for id in {*(npc.id for npc in one.npcs), *(fact.subject for fact in one.facts)}:
            if id in owners:
                raise Conflict(f"{one.source} and {owners[id]} both bring {id!r}", hint="rename one of the two")
            owners[id] = one.source


def _tell(one: Imported, moderation: Moderation) -> None:
    subjects = {fact.subject for fact in one.facts}
    names = ", ".join(f"{npc.name} ({npc.id})" for npc in one.npcs) or "a lorebook"
    click.echo(f"{one.source}: {names}, {len(subjects)} entries of lore", err=True)
    for what, reason in one.dropped:
        click.echo(f"  left out {what}: {reason}", err=True)
    for npc in one.npcs:
        for line in (line for lines in npc.persona.lines.values() for line in lines):
            if not (judged := moderation.judge(line)).allowed:
                click.echo(f"  not for {moderation.pack.title} ({judged.category}): {line[:80]}", err=True)


def _write(out: Path, tree: dict[str, Any]) -> None:
    try:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(tree), indent=1) + b"\n")
    except OSError as error:
        raise Invalid(f"{str(out)!r} cannot be written: {error.strerror}", hint="choose another file") from error


def _key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{str(file)!r} holds no key", hint="manage.py key create makes one") from error


def _send(url: str, key: str, world: str, entities: Sequence[Any], facts: Sequence[Any]) -> None:
    """Put everything into the world; sent again, the world is the same."""
    if entities:
        _post(url, key, "world/upsert", {"world": world, "entities": entities})
    for first in range(0, len(facts), FACTS_AT_ONCE):
        _post(url, key, "world/assert", {"world": world, "facts": facts[first : first + FACTS_AT_ONCE]})


def _post(url: str, key: str, path: str, data: dict[str, Any]) -> Any:
    """The decoded reply; raises what the server refused with."""
    body = msgspec.json.encode(data)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    address = f"{url}/v1/{path}"
    if not address.startswith(("http://", "https://")):
        raise Invalid(f"{url!r} is no address of a server", hint="http://127.0.0.1:8717")
    request = urllib.request.Request(address, data=body, headers=headers, method="POST")  # noqa: S310  # http or https
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  # as above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            told = json.load(error)
        raise from_code(told["code"], told.get("detail", ""), hint=told.get("hint", "")) from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise Unavailable(f"the server at {url} does not answer: {error}", hint="is it running?") from error

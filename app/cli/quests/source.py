"""Where an audit's quests and world come from: one JSON file, a studio's tables, or a world of the server's database.

Each quest is decoded by itself, so that one that cannot be read spoils no other. It proves nothing.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from app.core.errors import Invalid, TooLarge
from app.core.messages import Message
from app.modules.quests.auditing.entry import Entry
from app.modules.quests.draft import Draft
from app.modules.quests.exports.schema import DIALECT, QUESTS_MAX
from app.modules.quests.report import Found
from app.world.entities import AnyEntity, Fact, Faction, Item, Location, Npc, Player
from app.world.state import State, pair

FILE_BYTES_MAX = 1 << 28
GAP = re.compile(r"\s*")
FIX = "docs/reference/quest-audit.md says how the file is written"


class WorldPart(Message, frozen=True, kw_only=True):
    """A world as a file says it: what `world.upsert` and `world.fact` take, and the game's clock."""

    entities: tuple[AnyEntity, ...] = ()
    facts: tuple[Fact, ...] = ()
    game_s: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    start: str = ""
    """The place where newcomers enter; without it, the first with the tag `start`."""


class AuditFile(Message, frozen=True, kw_only=True):
    """The whole file; `format` and `version` are those of `quests.export` and may be left out."""

    format: Literal["innkeeper.quests"] = "innkeeper.quests"
    version: Literal[1] = 1
    world: WorldPart | None = None
    quests: Annotated[tuple[Draft, ...], msgspec.Meta(max_length=QUESTS_MAX)]


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be audited; without a state the world comes from elsewhere."""

    name: str
    entries: tuple[Entry, ...]
    state: State | None
    start: str = ""
    found: tuple[Found, ...] = ()
    """What is wrong with rows that belong to no quest."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file."""
    return {"$schema": DIALECT, **msgspec.json.schema(AuditFile)}


def json_source(path: Path) -> Source:
    """The quests and the world of a JSON file; raises Invalid, with the line, for what is no JSON at all."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise TooLarge(f"{path.name!r} is larger than {FILE_BYTES_MAX} bytes", hint="split it")
    try:
        text = path.read_text(encoding="utf-8-sig")
        parts, quests = _opened(text)
        known = msgspec.convert({**parts, "quests": []}, AuditFile)
    except (UnicodeDecodeError, json.JSONDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise Invalid(f"{path.name!r} cannot be read: {error}", hint=FIX) from error
    lines = _Lines(text)
    entries = tuple(_entry(path.name, text, lines, number, *quest) for number, quest in enumerate(quests))
    world = known.world
    state = None if world is None else _state(world)
    return Source(path.name, entries, state, start=world.start if world is not None else "")


def entry_of(number: int, body: Any, where: str, steps: dict[str, str]) -> Entry:
    """The draft, or why it is none. Texts stand for numbers where a number is wanted, as tables have them."""
    key = str(body.get("id") or f"#{number + 1}")[:128] if isinstance(body, dict) else f"#{number + 1}"
    try:
        draft = msgspec.convert(body, Draft, strict=False)
    except msgspec.ValidationError as error:
        return Entry(number=number, draft=None, key=key, where=where, step_where=steps, fault=str(error))
    return Entry(number=number, draft=draft, key=draft.id or key, where=where, step_where=steps)


def world_of(entities: Iterable[tuple[dict[str, Any], str]]) -> State | None:
    """The world that rows tell of, None without any; raises Invalid naming the row."""
    known: list[AnyEntity] = []
    for body, where in entities:
        try:
            known.append(msgspec.convert(body, AnyEntity, strict=False))
        except msgspec.ValidationError as error:
            raise Invalid(f"{where} is no {body.get('type')}: {error}", hint="see [[entities]] of the map") from error
    return _state(WorldPart(entities=tuple(known))) if known else None


def _state(world: WorldPart) -> State:
    state = State(game_s=world.game_s)
    tables: dict[type, dict[str, Any]] = {
        Npc: state.npcs, Player: state.players, Item: state.items, Location: state.locations, Faction: state.factions,
    }  # fmt: skip
    seen: set[str] = set()
    for entity in world.entities:
        if entity.id in seen:
            raise Invalid(f"two entities have the id {entity.id!r}", hint="give each entity an id of its own")
        seen.add(entity.id)
        tables[type(entity)][entity.id] = entity
    for fact in world.facts:
        key = pair(fact.subject, fact.predicate)
        state.facts[key] = (*state.facts.get(key, ()), fact)
    return state


class _Lines:
    """Line numbers of positions."""

    def __init__(self, text: str) -> None:
        self._breaks = [match.start() for match in re.finditer("\n", text)]

    def of(self, at: int) -> int:
        return bisect_left(self._breaks, at) + 1


def _opened(text: str) -> tuple[dict[str, Any], Sequence[tuple[Any, int, int]]]:
    """The top object's members but the quests, and each quest with the span of its text."""
    decoder = json.JSONDecoder()
    parts: dict[str, Any] = {}
    quests: list[tuple[Any, int, int]] = []
    at = _past(text, 0, "{")
    while text[at : at + 1] != "}":
        name, after = decoder.raw_decode(text, at)
        if not isinstance(name, str):
            raise json.JSONDecodeError("Expecting a name", text, at)
        at = _past(text, after, ":")
        if name == "quests":
            at = _past(text, at, "[")
            while text[at : at + 1] != "]":
                value, end = decoder.raw_decode(text, at)
                quests.append((value, at, end))
                at = _comma(text, end, "]")
            at += 1
        else:
            parts[name], at = decoder.raw_decode(text, at)
        at = _comma(text, at, "}")
    if _gap(text, at + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)
    return parts, quests


def _gap(text: str, at: int) -> int:
    match = GAP.match(text, at)
    return match.end() if match is not None else at


def _past(text: str, at: int, mark: str) -> int:
    at = _gap(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return _gap(text, at + 1)


def _comma(text: str, at: int, end: str) -> int:
    """Past the comma, or at the mark that ends."""
    at = _gap(text, at)
    if text[at : at + 1] == end:
        return at
    return _past(text, at, ",")


def _entry(name: str, text: str, lines: _Lines, number: int, body: Any, start: int, end: int) -> Entry:
    steps: dict[str, str] = {}
    for id in _step_ids(body):
        match = re.compile(rf'"id"\s*:\s*{re.escape(json.dumps(id))}').search(text, start, end)
        if match is not None:
            steps[id] = f"{name}:{lines.of(match.start())}"
    return entry_of(number, body, f"{name}:{lines.of(start)}", steps)


def _step_ids(body: Any) -> list[str]:
    if not isinstance(body, dict):
        return []
    parts = [body, *(part for part in _list(body.get("branches")) if isinstance(part, dict))]
    steps = [step for part in parts for step in _list(part.get("steps"))]
    return [id for step in steps if isinstance(step, dict) and isinstance(id := step.get("id"), str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""The vocabulary of quests: facts, action schemas and the deeds that game events leave behind.

It knows shapes, not worlds: `facts.py` turns a world into facts and `planner.py` searches. A schema
is data (`data/actions.toml`); its variables are numbers here, so no entity id can be mistaken for one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from types import MappingProxyType
from typing import get_args

import msgspec

from app.core.errors import Broken, nearest
from app.world.events import Happened, Verb

Fact = tuple[str, ...]
"""A predicate and its arguments: ("at", "miller", "mill")."""

Pattern = tuple[str | int, ...]
"""A fact whose ints stand for a schema's parameters, by position."""

PLAYER = "player"
TALKS = frozenset({"learn", "report"})
"""Actions that make no sense before what they speak of."""


class EventSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which event completes an action: the verb, and a parameter (or `player`) for each role."""

    verb: Verb
    actor: str
    target: str = ""
    item: str = ""
    location: str = ""
    topic: str = ""


class ActionRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One action as its table is written."""

    name: str
    takes: dict[str, str]
    pre: str
    deed: str
    cost: float
    event: EventSpec
    also: tuple[str, ...] = ()
    add: str = ""
    delete: str = ""


class ActionFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    version: int
    action: tuple[ActionRow, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """An action with parameters; `takes` maps the fields an author fills to their types."""

    name: str
    params: tuple[str, ...]
    takes: Mapping[str, str]
    pre: tuple[Pattern, ...]
    add: tuple[Pattern, ...]
    delete: tuple[Pattern, ...]
    deed: Pattern
    cost: float
    event: EventSpec
    fixed: tuple[tuple[int, str], ...] = ()
    """Parameters, by position, that may only be this value."""

    def bound(self, values: Mapping[str, str], *, pre: Iterable[Fact] = (), add: Iterable[Fact] = ()) -> Schema:
        """This schema with some parameters fixed, and further preconditions and effects.

        A fixed parameter keeps its place, so arguments of the two schemas mean the same.
        """
        fixed = tuple((self.params.index(name), value) for name, value in values.items())
        return replace(self, fixed=fixed, pre=(*self.pre, *pre), add=(*self.add, *add))

    def happened(self, args: Sequence[str], player: str) -> Happened:
        """The event that completes this action with these arguments."""
        values = dict(zip(self.params, args, strict=True)) | {PLAYER: player, "": ""}
        spec = self.event
        return Happened(
            verb=spec.verb,
            actor=values[spec.actor],
            target=values[spec.target],
            item=values[spec.item],
            location=values[spec.location],
            topic=values[spec.topic],
        )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every action, by name, and the version that certificates name."""

    version: int
    schemas: Mapping[str, Schema]

    def without(self, names: Iterable[str]) -> tuple[Schema, ...]:
        """The schemas but those named, in the file's order."""
        barred = set(names)
        return tuple(schema for schema in self.schemas.values() if schema.name not in barred)

    def story(self, barred: Iterable[str], goals: Sequence[Fact]) -> tuple[Schema, ...]:
        """The schemas but those barred, for a plan that reads as a story.

        What was given away stays given away, and what is asked or told of comes after the goals before it.
        """
        schemas: list[Schema] = []
        for schema in self.without(barred):
            if schema.name in TALKS:
                schemas.extend(_waiting(schema, goals))
            else:
                kept = tuple(pattern for pattern in schema.add if pattern[0] != "holds")
                schemas.append(replace(schema, add=kept))
        return tuple(schemas)


def _waiting(schema: Schema, goals: Sequence[Fact]) -> Iterator[Schema]:
    """The schema once for each goal that is its deed, waiting for the goals before that one."""
    for number, goal in enumerate(goals):
        if goal[0] == schema.deed[0]:
            terms = zip(schema.deed[1:], goal[1:], strict=True)
            values = {schema.params[term]: value for term, value in terms if isinstance(term, int)}
            yield schema.bound(values, pre=goals[:number])


def data(name: str) -> bytes:
    """A file of this module's data folder."""
    return (files("app.modules.quests") / "data" / name).read_bytes()


def load_vocabulary() -> Vocabulary:
    """Read and check the shipped vocabulary; raises Broken naming the action at fault."""
    table = msgspec.convert(tomllib.loads(data("actions.toml").decode()), ActionFile)
    schemas = {row.name: _schema(row) for row in table.action}
    return Vocabulary(version=table.version, schemas=MappingProxyType(schemas))


def _schema(row: ActionRow) -> Schema:
    params = (*row.takes, *row.also)
    deed = _pattern(row.name, row.deed, params)
    schema = Schema(
        name=row.name,
        params=params,
        takes=MappingProxyType(row.takes),
        pre=_patterns(row.name, row.pre, params),
        add=(deed, *_patterns(row.name, row.add, params)),
        delete=_patterns(row.name, row.delete, params),
        deed=deed,
        cost=row.cost,
        event=row.event,
    )
    used = {term for pattern in schema.pre for term in pattern if isinstance(term, int)}
    if used != set(range(len(params))):
        raise Broken(f"action {row.name!r} has a parameter that no precondition binds")
    if row.event.verb not in get_args(Verb):
        raise Broken(f"action {row.name!r} ends with an unknown verb {row.event.verb!r}")
    return schema


def _patterns(action: str, text: str, params: Sequence[str]) -> tuple[Pattern, ...]:
    return tuple(_pattern(action, part, params) for part in text.split(";") if part.strip())


def _pattern(action: str, text: str, params: Sequence[str]) -> Pattern:
    predicate, *terms = text.split()
    for term in terms:
        if term[1:] not in params:
            raise Broken(f"action {action!r} names {term!r}, which is no parameter", hint=nearest(term[1:], params))
    return (predicate, *(params.index(term[1:]) for term in terms))


def ground(pattern: Pattern, args: Sequence[str]) -> Fact:
    """The fact that a pattern becomes with these arguments."""
    return tuple(args[term] if isinstance(term, int) else term for term in pattern)


def own_news(npc: str) -> str:
    """The topic of how someone fares, which only that one can tell."""
    return f"news {npc}"


def slain_news(npc: str) -> str:
    """The topic that a foe is dead."""
    return f"slain {npc}"


def seen_news(location: str) -> str:
    """The topic of how a place looks now."""
    return f"seen {location}"


def knowledge_of(deed: Fact) -> tuple[Fact, ...]:
    """What the player knows after a deed; worlds keep no record of it, so quests do."""
    match deed:
        case ("learned" | "spied", topic):
            return (("knows", topic),)
        case ("explored" | "defended", location):
            return (("knows", seen_news(location)),)
        case ("slain", npc):
            return (("knows", slain_news(npc)),)
        case _:
            return ()


def deeds_of(event: Happened, player: str) -> tuple[Fact, ...]:
    """What `player` has done, as far as this event tells; empty for talk and for what others do."""
    if event.actor == player:
        return _own_deeds(event)
    if event.target != player:
        return ()
    match event.verb:
        case "gave" if event.item:
            return (("acquired", event.item),)
        case "traded" if event.item:
            return ("bought", event.item), ("acquired", event.item)
        case "learned" if event.topic:
            return (("told", event.actor, event.topic),)
        case _:
            return ()


def _own_deeds(event: Happened) -> tuple[Fact, ...]:
    target, item, place, topic = event.target, event.item, event.location, event.topic
    match event.verb:
        case "moved" if place:
            return (("visited", place),)
        case "explored" if place:
            return ("explored", place), ("visited", place)
        case "took" if item:
            got: tuple[Fact, ...] = (("acquired", item), ("gathered", item))
            return (*got, ("looted", item, target)) if target else got
        case "crafted" if item:
            return ("crafted", item), ("acquired", item)
        case "stole" if item:
            return ("stolen", item), ("acquired", item)
        case "gave" if item and target:
            return (("delivered", item, target),)
        case "used" if item and place:
            return (("used", item, place),)
        case "killed" if target:
            return (("slain", target),)
        case "captured" if target:
            return (("captured", target),)
        case "rescued" if target:
            return (("rescued", target),)
        case "unlocked" if place:
            return (("unlocked", place),)
        case "learned" if topic:
            return (("learned", topic),) if target else (("spied", topic), ("learned", topic))
        case "escorted" if target and place:
            return ("escorted", target, place), ("visited", place)
        case "defended" if place:
            return (("defended", place),)
        case "trained" if topic:
            return (("trained", topic),)
        case _:
            return ()

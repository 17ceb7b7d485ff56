"""The grammar of barks: lines with slots, by family, event, mood and relation, and the lexicon that fills them.

Read once. Slots of the game stay as they are; it is the game's event that fills them when a line is said.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import msgspec

from app.core.errors import Broken
from app.world.barks import MOODS

LANGUAGES = ("en", "de")
GAME_SLOTS = frozenset({"actor", "target", "item", "place"})
FACT = "fact"
"""The family of lines that tell a fact, after any event, and their slot."""

RELATIONS = ("friend", "stranger", "foe")


class Line(NamedTuple):
    """A line with its slots; what is empty fits any."""

    text: str
    events: frozenset[str]
    moods: frozenset[str]
    relations: frozenset[str]

    def rank(self, mood: str, relation: str, *, whole: bool) -> int:
        """How closely it fits, -1 where it does not: a line for another mood or relation is none.

        Of a `whole` family a line fits whatever was left open.
        """
        closely = 0
        for wanted, own in ((mood, self.moods), (relation, self.relations)):
            if own and wanted not in own and not (whole and not wanted):
                return -1
            closely += bool(own)
        return closely


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    families: dict[str, tuple[str, ...]]
    lexicon: dict[str, tuple[str, ...]]
    trades: dict[str, tuple[str, ...]]
    lines: dict[str, str]
    tails: str


class Grammar(msgspec.Struct, frozen=True):
    """One language. `trades` are what those of an archetype are at, in the place of the lexicon's `work`."""

    families: dict[str, tuple[str, ...]]
    lexicon: dict[str, tuple[str, ...]]
    trades: dict[str, tuple[str, ...]]
    lines: dict[str, tuple[Line, ...]]
    tails: tuple[Line, ...]
    """What may follow a line that is used again."""

    def family(self, event: str) -> str:
        """The family of an event, or of its own name; empty where there is none."""
        if event in self.families:
            return event
        return next((name for name, events in self.families.items() if event in events), "")

    def events(self) -> tuple[str, ...]:
        """Every event that there are lines for."""
        return tuple(event for events in self.families.values() for event in events)


@lru_cache(1)
def load_grammars() -> dict[str, Grammar]:
    """The grammar of every language; raises Broken where a line names what is not there."""
    return {tag: _grammar(tag) for tag in LANGUAGES}


def slots_of(text: str) -> list[str]:
    """The slots of a line, as often as they stand there."""
    return _SLOT.findall(text)


def _grammar(tag: str) -> Grammar:
    text = (resources.files("app.modules.content") / "data" / f"barks.{tag}.toml").read_text(encoding="utf-8")
    file = msgspec.convert(tomllib.loads(text), _File)
    lines = {family: tuple(_line(*row) for row in _rows(body, 4)) for family, body in file.lines.items()}
    tails = tuple(_line("", moods, "", text) for moods, text in _rows(file.tails, 2))
    grammar = Grammar(file.families, file.lexicon, file.trades, lines, tails)
    for fault in _faults(grammar):
        raise Broken(f"barks.{tag}.toml: {fault}")
    return grammar


def _rows(body: str, columns: int) -> Iterator[list[str]]:
    for row in body.strip().splitlines():
        yield [part.strip() for part in row.split("|", columns - 1)]


def _line(events: str, moods: str, relations: str, text: str) -> Line:
    return Line(text, frozenset(events.split()), frozenset(moods.split()), frozenset(relations.split()))


def _faults(grammar: Grammar) -> list[str]:
    found: list[str] = []
    for family, lines in grammar.lines.items():
        known = {*grammar.families.get(family, ())}
        for line in lines:
            found += [f"{line.text!r} is for {event!r}" for event in line.events if event not in known]
            found += [f"{line.text!r}: no mood {mood!r}" for mood in line.moods if mood not in MOODS]
            found += [f"{line.text!r}: no relation {each!r}" for each in line.relations if each not in RELATIONS]
            allowed = {*grammar.lexicon, *GAME_SLOTS, *((FACT,) if family == FACT else ())}
            found += [f"{line.text!r} has a slot {slot!r}" for slot in slots_of(line.text) if slot not in allowed]
    for tail in grammar.tails:
        found += [f"{tail.text!r}: no mood {mood!r}" for mood in tail.moods if mood not in MOODS]
        found += [f"{tail.text!r} has a slot {slot!r}" for slot in slots_of(tail.text) if slot not in grammar.lexicon]
    return found


_SLOT = re.compile(r"\{(\w+)\}")

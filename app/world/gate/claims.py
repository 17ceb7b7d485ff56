"""Whether what an NPC says about the world is so. Pure: the same world and text, the same claims.

Only statements about entities that the text names are looked at, and only those whose shape is known
here: where someone or something is, who is dead, what is open, who has what, which way a place lies,
what an asserted fact says. Opinions, questions and wishes pass. It does not know invented names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from app.world.entities import AnyEntity, Item, Location, Npc, Player
from app.world.gate.acts import may_know
from app.world.scene import Compass
from app.world.state import World

NAME_WORDS_MAX = 5
"""Words of the longest name that is looked for."""

COMPASS: tuple[Compass, ...] = (
    "east",
    "south-east",
    "south",
    "south-west",
    "west",
    "north-west",
    "north",
    "north-east",
)
"""The eight winds by steps of 45 degrees from east, turning with the clock: map rows grow to the south."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One checkable statement; `source` names the entity field or fact that decided it."""

    text: str
    subject: str
    verdict: Literal["supported", "contradicted", "unknown"]
    source: str = ""


class Mention(NamedTuple):
    """An entity named in a sentence, from character `start` to `end`."""

    start: int
    end: int
    id: str


class Names:
    """The names of a world's entities, to find them in a text."""

    def __init__(self, entities: Iterable[AnyEntity]) -> None:
        self._ids: dict[str, str] = {}
        self._persons: set[str] = set()
        for entity in entities:
            key = " ".join(_words(entity.name))
            if not key:
                continue
            self._ids.setdefault(key, entity.id)
            if isinstance(entity, Npc | Player):
                self._persons.add(entity.id)
                first = key.split(" ")[0]
                if len(first) > 2 and first not in _TITLES:
                    self._ids.setdefault(first, entity.id)

    @classmethod
    def of(cls, world: World) -> Names:
        """Every named location, item, NPC, player and faction; where names clash, the first in that order wins."""
        state = world.state
        tables: tuple[Mapping[str, AnyEntity], ...] = (
            state.locations, state.npcs, state.players, state.items, state.factions,
        )  # fmt: skip
        return cls(entity for table in tables for entity in table.values())

    def find(self, text: str) -> list[Mention]:
        """The entities named in `text`, longest names first at each place, left to right.

        A person's name counts only when it is written with a capital.
        """
        tokens = [match.span() for match in _WORD.finditer(text)]
        words = [text[start:end].casefold() for start, end in tokens]
        found: list[Mention] = []
        at = 0
        while at < len(words):
            mention = self._longest(text, tokens, words, at)
            if mention is None:
                at += 1
                continue
            found.append(mention)
            while at < len(words) and tokens[at][0] < mention.end:
                at += 1
        return found

    def _longest(self, text: str, tokens: list[tuple[int, int]], words: list[str], at: int) -> Mention | None:
        for length in range(min(NAME_WORDS_MAX, len(words) - at), 0, -1):
            id = self._ids.get(" ".join(words[at : at + length]))
            if id is None:
                continue
            start, end = tokens[at][0], tokens[at + length - 1][1]
            if id in self._persons and not text[start].isupper():
                continue
            return Mention(start, end, id)
        return None


def check_claims(world: World, npc: str, text: str, names: Names | None = None) -> tuple[Claim, ...]:
    """Every checkable statement of `text`, as `npc` says it, against what that NPC may know.

    Raises NotFound for an unknown NPC.
    """
    speaker = world.npc(npc)
    index = names if names is not None else Names.of(world)
    claims: list[Claim] = []
    for sentence in sentences(text):
        if sentence.rstrip().endswith("?") or _HYPOTHETICAL.search(sentence):
            continue
        claims.extend(_claims_in(world, speaker, sentence, index.find(sentence)))
    return tuple(claims)


def sentences(text: str) -> list[str]:
    """The sentences of a text, ends kept."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def direction(from_xy: tuple[float, float], to_xy: tuple[float, float]) -> Compass:
    """The wind that points from one cell to another, of eight; empty where they are the same."""
    dx, dy = to_xy[0] - from_xy[0], to_xy[1] - from_xy[1]
    if dx == 0.0 and dy == 0.0:
        return ""
    return COMPASS[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


def _words(text: str) -> list[str]:
    return [match.group().casefold() for match in _WORD.finditer(text)]


def _claims_in(world: World, npc: Npc, sentence: str, mentions: list[Mention]) -> Iterator[Claim]:
    pairs = list(zip(mentions, [*mentions[1:], None], strict=False))
    for mention, following in pairs:
        entity = world.entity(mention.id)
        if entity is None:
            continue
        until = following.start if following is not None else len(sentence)
        between = sentence[mention.end : until]
        if _NEGATED.search(between):
            continue
        if following is not None:
            yield from _about_two(world, npc, sentence, entity, between, following.id)
        yield from _about_one(world, npc, sentence, entity, sentence[mention.end :])
    if mentions:
        lead = sentence[: mentions[0].start]
        if _FIRST_PERSON.search(lead) and not _NEGATED.search(lead):
            yield from _about_two(world, npc, sentence, npc, lead, mentions[0].id)


def _about_two(
    world: World, npc: Npc, sentence: str, subject: AnyEntity, between: str, other_id: str
) -> Iterator[Claim]:
    other = world.entity(other_id)
    if isinstance(other, Location) and _BEING_AT.search(between):
        yield _where(world, npc, sentence, subject, other)
    elif isinstance(other, Item) and isinstance(subject, Npc | Player) and _HAVING.search(between):
        holds = other.holder == subject.id or any(
            item.holder == subject.id and item.name == other.name for item in world.state.items.values()
        )
        yield _claim(sentence, subject.id, holds, f"{other.id}.holder")


def _where(world: World, npc: Npc, sentence: str, subject: AnyEntity, place: Location) -> Claim:
    """Home and work are common knowledge; where someone stands is known only to those beside them."""
    if isinstance(subject, Npc):
        if place.id in (subject.home, subject.work):
            return _claim(sentence, subject.id, True, f"{subject.id}.{'home' if place.id == subject.home else 'work'}")
        if subject.id == npc.id or (subject.location and subject.location == npc.location):
            return _claim(sentence, subject.id, subject.location == place.id, f"{subject.id}.location")
        return Claim(text=sentence, subject=subject.id, verdict="unknown")
    if isinstance(subject, Player):
        near = bool(subject.location) and subject.location == npc.location
        return _claim(sentence, subject.id, near and subject.location == place.id, f"{subject.id}.location")
    if isinstance(subject, Item):
        return _claim(sentence, subject.id, _item_place(world, subject) == place.id, f"{subject.id}.holder")
    if isinstance(subject, Location):
        linked = place.id in subject.connects or subject.id in place.connects
        return _claim(sentence, subject.id, linked, f"{subject.id}.connects")
    return Claim(text=sentence, subject=subject.id, verdict="unknown")


def _item_place(world: World, item: Item) -> str:
    holder = world.entity(item.holder) if item.holder else None
    return holder.location if isinstance(holder, Npc | Player) else item.holder


def _about_one(world: World, npc: Npc, sentence: str, subject: AnyEntity, after: str) -> Iterator[Claim]:
    if isinstance(subject, Npc | Player):
        if _DEAD.match(after):
            yield _claim(sentence, subject.id, not subject.alive, f"{subject.id}.alive")
        elif _ALIVE.match(after):
            yield _claim(sentence, subject.id, subject.alive, f"{subject.id}.alive")
    if isinstance(subject, Location):
        yield from _about_place(world, npc, sentence, subject, after)
    price = _PRICE.match(after)
    if isinstance(subject, Item) and price:
        yield _claim(sentence, subject.id, float(price.group(1)) == subject.value, f"{subject.id}.value")
    yield from _about_fact(world, npc, sentence, subject, after)


def _about_place(world: World, npc: Npc, sentence: str, place: Location, after: str) -> Iterator[Claim]:
    state = _OPENNESS.match(after)
    if state:
        yield _claim(sentence, place.id, (state.group(1) == "open") == place.open, f"{place.id}.open")
    wind = _LIES.match(after)
    here = world.state.locations.get(npc.location)
    if wind and here is not None:
        really = direction((here.x, here.y), (place.x, place.y))
        told = wind.group(1).lower().replace(" ", "-").replace("northe", "north-e").replace("northw", "north-w")
        told = told.replace("southe", "south-e").replace("southw", "south-w").replace("--", "-")
        yield _claim(sentence, place.id, _same_wind(told, really), f"{place.id}.x,y")


def _same_wind(told: str, really: str) -> bool:
    """Whether two winds are the same or neighbors: people point roughly."""
    if told not in COMPASS or really not in COMPASS:
        return False
    winds: tuple[str, ...] = COMPASS
    apart = abs(winds.index(told) - winds.index(really))
    return min(apart, 8 - apart) <= 1


def _about_fact(world: World, npc: Npc, sentence: str, subject: AnyEntity, after: str) -> Iterator[Claim]:
    """`SUBJECT's PREDICATE is VALUE`, for predicates that some fact about the subject has."""
    stated = _PROPERTY.match(after)
    if not stated:
        return
    predicate, value = stated.group(1).casefold().replace(" ", "_"), stated.group(2).strip(" .!").casefold()
    fact = world.fact(subject.id, predicate)
    if fact is None or not may_know(npc, fact):
        yield Claim(text=sentence, subject=subject.id, verdict="unknown")
        return
    yield _claim(sentence, subject.id, str(fact.value).casefold() in value, f"fact {subject.id} {predicate}")


def _claim(sentence: str, subject: str, holds: bool, source: str) -> Claim:
    return Claim(text=sentence, subject=subject, verdict="supported" if holds else "contradicted", source=source)


_TITLES = frozenset({
    "old", "young", "big", "little", "the", "sir", "lady", "lord", "dame", "captain", "sergeant", "brother", "sister",
    "father", "mother", "master", "elder", "mayor",
})  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:[-’'](?!s\b)[^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+")
_IS = r"(?:\s+(?:is|was|has been|are)|['’]s)"
_ADVERB = r"(?:\s+(?:now|already|still|also|just|really|certainly|sadly|long))*"
_HYPOTHETICAL = re.compile(r"\b(if|unless|perhaps|maybe|might|may|could|would|should|wish|suppose|imagine)\b", re.I)
_NEGATED = re.compile(r"\b(not|never|no longer|nobody|cannot)\b|n['’]t\b", re.I)
_FIRST_PERSON = re.compile(r"\bI\b(?:['’](?:m|ve))?")
_BEING_AT = re.compile(
    r"(?:\b(?:is|was|are|lives?|works?|stays?|sits?|stands?|waits?|sleeps?|hides?|found|am|lies|keeps?|runs?)\b|['’](?:s|m)\b)"
    r"(?:\s+\w+){0,3}?\s+(?:in|at|inside|by|near|beside|on)\s+(?:the\s+|our\s+|my\s+|old\s+)*$",
    re.I,
)
_HAVING = re.compile(
    r"\b(?:has|have|hold|holds|carry|carries|own|owns|keep|keeps|sell|sells|wields?)\b(?:\s+\w+){0,3}\s*$", re.I
)
_DEAD = re.compile(
    rf"{_IS}{_ADVERB}\s+(?:dead|gone for good|slain|killed|murdered|buried)\b|\s+(?:died|has died|passed away)\b", re.I
)
_ALIVE = re.compile(rf"{_IS}{_ADVERB}\s+(?:alive|living)\b|\s+lives\s+still\b", re.I)
_OPENNESS = re.compile(rf"{_IS}{_ADVERB}\s+(open|closed|shut|locked|barred)\b(?!\s+to\b)", re.I)
_LIES = re.compile(
    r"(?:\s+(?:is|lies|sits|stands)|['’]s)(?:\s+\w+){0,4}?\s+(?:to the |due |just )?"
    r"((?:north|south)[- ]?(?:east|west)|north|south|east|west)\b",
    re.I,
)
_PRICE = re.compile(r"\s+(?:costs?|is worth|sells for|goes for)\s+(\d+(?:\.\d+)?)\b", re.I)
_PROPERTY = re.compile(r"['’]s\s+([a-z_]+(?: [a-z_]+)?)\s+is\s+(.+)", re.I)

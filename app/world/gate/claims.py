"""Whether what an NPC says about the world is so. Pure: the same world and text, the same claims.

Only statements about entities that the text names are looked at, and only those whose shape is known
here: where someone or something is, who is dead, what is open, who has what, which way a place lies, what
something costs, what trade someone has, how a quest stands, what an asserted fact says. A claim that is wrong
says what would be right. Opinions, questions and wishes pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from app.world.entities import AnyEntity, Item, Location, Npc, Player
from app.world.gate.acts import may_know, may_tell, trades
from app.world.gate.names import Mention, Names
from app.world.scene import Compass
from app.world.state import World

__all__ = ["COMPASS", "Claim", "Mention", "Names", "check_claims", "direction", "sentences"]

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
PRICE_SLACK = 0.01


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One checkable statement; `source` names the entity field or fact that decided it.

    `instead` holds, where the claim is wrong and a few words would mend it: from character `start` to `end` of `text`.
    """

    text: str
    subject: str
    verdict: Literal["supported", "contradicted", "unknown"]
    source: str = ""
    start: int = 0
    end: int = 0
    instead: str = ""


class _Saying(msgspec.Struct, frozen=True):
    """One sentence on its way through the checks: who says it to whom, if to anyone."""

    world: World
    npc: Npc
    other: Npc | Player | None
    text: str

    def claim(
        self, subject: str, source: str, *, holds: bool, span: tuple[int, int] = (0, 0), instead: str = ""
    ) -> Claim:
        if holds:
            return Claim(text=self.text, subject=subject, verdict="supported", source=source)
        start, end = span if instead else (0, 0)
        return Claim(
            text=self.text,
            subject=subject,
            verdict="contradicted",
            source=source,
            start=start,
            end=end,
            instead=instead,
        )

    def unknown(self, subject: str, source: str = "", *, span: tuple[int, int] = (0, 0), instead: str = "") -> Claim:
        start, end = span if instead else (0, 0)
        return Claim(
            text=self.text, subject=subject, verdict="unknown", source=source, start=start, end=end, instead=instead
        )


def check_claims(
    world: World, npc: str, text: str, names: Names | None = None, *, other: str = ""
) -> tuple[Claim, ...]:
    """Every checkable statement of `text`, as `npc` says it, against what that NPC may know and tell `other`.

    Raises NotFound for an unknown NPC.
    """
    speaker = world.npc(npc)
    listener = world.state.players.get(other) or world.state.npcs.get(other)
    index = names if names is not None else Names.of(world)
    claims: list[Claim] = []
    for sentence in sentences(text):
        claims.extend(claims_of(world, speaker, listener, sentence, index.find(sentence)))
    return tuple(claims)


def claims_of(
    world: World, npc: Npc, other: Npc | Player | None, sentence: str, mentions: list[Mention]
) -> tuple[Claim, ...]:
    """The same for one sentence whose names are found already."""
    if not mentions or sentence.rstrip().endswith("?") or _HYPOTHETICAL.search(sentence):
        return ()
    return tuple(_claims_in(_Saying(world, npc, other, sentence), mentions))


def sentences(text: str) -> list[str]:
    """The sentences of a text, ends kept."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def direction(from_xy: tuple[float, float], to_xy: tuple[float, float]) -> Compass:
    """The wind that points from one cell to another, of eight; empty where they are the same."""
    dx, dy = to_xy[0] - from_xy[0], to_xy[1] - from_xy[1]
    if dx == 0.0 and dy == 0.0:
        return ""
    return COMPASS[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


def _claims_in(saying: _Saying, mentions: list[Mention]) -> Iterator[Claim]:
    sentence = saying.text
    for mention, following in zip(mentions, [*mentions[1:], None], strict=False):
        entity = saying.world.entity(mention.id)
        if entity is None:
            continue
        until = following.start if following is not None else len(sentence)
        between = sentence[mention.end : until]
        if _NEGATED.search(between):
            continue
        if following is not None:
            yield from _about_two(saying, entity, mention, between, following)
        yield from _about_one(saying, entity, mention)
    if mentions:
        lead = sentence[: mentions[0].start]
        if _NEGATED.search(lead):
            return
        if _FIRST_PERSON.search(lead):
            yield from _about_two(saying, saying.npc, None, lead, mentions[0])
        elif saying.other is not None and _SECOND_PERSON.search(lead):
            yield from _about_two(saying, saying.other, None, lead, mentions[0])


def _about_two(
    saying: _Saying, subject: AnyEntity, mention: Mention | None, between: str, following: Mention
) -> Iterator[Claim]:
    other = saying.world.entity(following.id)
    if isinstance(other, Location) and _BEING_AT.search(between):
        yield _where(saying, subject, other, (following.start, following.end))
    elif (
        isinstance(other, Item)
        and isinstance(subject, Npc | Player)
        and _HAVING.search(between)
        and not _NONE.search(between)
    ):
        holds = other.holder == subject.id or any(
            item.holder == subject.id and item.name == other.name for item in saying.world.state.items.values()
        )
        holder = _public_holder(saying, other)
        span = (mention.start, mention.end) if mention is not None else (0, 0)
        instead = holder.name if holder is not None and mention is not None and holder.id != saying.npc.id else ""
        yield saying.claim(subject.id, f"{other.id}.holder", holds=holds, span=span, instead=instead)
    elif isinstance(other, Npc | Player) and _KILLED.search(between) and other.alive:
        yield saying.claim(other.id, f"{other.id}.alive", holds=False)


def _public_holder(saying: _Saying, item: Item) -> Npc | Player | None:
    """Who is seen to have a thing: the speaker, somebody beside it, or whoever sells it."""
    holder = saying.world.entity(item.holder) if item.holder else None
    if not isinstance(holder, Npc | Player):
        return None
    if holder.id == saying.npc.id or (bool(holder.location) and holder.location == saying.npc.location):
        return holder
    return holder if isinstance(holder, Npc) and trades(holder) else None


def _where(saying: _Saying, subject: AnyEntity, place: Location, span: tuple[int, int]) -> Claim:
    """Home and work are common knowledge; where someone stands is known only to those beside them."""
    npc, locations = saying.npc, saying.world.state.locations
    if isinstance(subject, Npc):
        if place.id in (subject.home, subject.work):
            return saying.claim(
                subject.id, f"{subject.id}.{'home' if place.id == subject.home else 'work'}", holds=True
            )
        beside = subject.id == npc.id or (bool(subject.location) and subject.location == npc.location)
        usual = locations.get(subject.location if beside else subject.work or subject.home)
        instead = usual.name if usual is not None else ""
        if beside:
            holds = subject.location == place.id
            return saying.claim(subject.id, f"{subject.id}.location", holds=holds, span=span, instead=instead)
        return saying.unknown(subject.id, f"{subject.id}.work", span=span, instead=instead)
    if isinstance(subject, Player):
        near = bool(subject.location) and subject.location == npc.location
        return saying.claim(subject.id, f"{subject.id}.location", holds=near and subject.location == place.id)
    if isinstance(subject, Item):
        found = _item_place(saying.world, subject)
        public = _public_holder(saying, subject) is not None or subject.holder in locations
        instead = locations[found].name if public and found in locations else ""
        return saying.claim(subject.id, f"{subject.id}.holder", holds=found == place.id, span=span, instead=instead)
    if isinstance(subject, Location):
        linked = place.id in subject.connects or subject.id in place.connects
        near_by = next((locations[id] for id in subject.connects if id in locations), None)
        instead = near_by.name if near_by is not None else ""
        return saying.claim(subject.id, f"{subject.id}.connects", holds=linked, span=span, instead=instead)
    return saying.unknown(subject.id)


def _item_place(world: World, item: Item) -> str:
    holder = world.entity(item.holder) if item.holder else None
    return holder.location if isinstance(holder, Npc | Player) else item.holder


def _about_one(saying: _Saying, subject: AnyEntity, mention: Mention) -> Iterator[Claim]:
    if isinstance(subject, Npc | Player):
        yield from _about_person(saying, subject, mention)
    elif isinstance(subject, Location):
        yield from _about_place(saying, subject, mention)
    elif isinstance(subject, Item) and (price := _PRICE.match(saying.text, mention.end)):
        number, _, coins = price.group(1).partition(" ")
        holds = abs(float(number) - subject.value) <= PRICE_SLACK
        told = f"{subject.value:g}{' coin' if coins else ''}{'s' if coins and subject.value != 1.0 else ''}"
        yield saying.claim(subject.id, f"{subject.id}.value", holds=holds, span=price.span(1), instead=told)
    yield from _about_fact(saying, subject, mention)


def _about_person(saying: _Saying, person: Npc | Player, mention: Mention) -> Iterator[Claim]:
    text, at = saying.text, mention.end
    if dead := _DEAD.match(text, at):
        yield saying.claim(
            person.id, f"{person.id}.alive", holds=not person.alive, span=dead.span(), instead=" is alive and well"
        )
    elif alive := _ALIVE.match(text, at):
        yield saying.claim(person.id, f"{person.id}.alive", holds=person.alive, span=alive.span(), instead=" is dead")
    if isinstance(person, Npc) and (trade := _TRADE.match(text, at)) and _is_trade(saying.world, trade.group(1)):
        holds = trade.group(1).casefold() == person.archetype.casefold()
        yield saying.claim(
            person.id, f"{person.id}.archetype", holds=holds, span=trade.span(1), instead=person.archetype
        )
    if level := _LEVEL.match(text, at):
        holds = int(level.group(1)) == person.level
        told = str(person.level)
        yield saying.claim(person.id, f"{person.id}.level", holds=holds, span=level.span(1), instead=told)
    stranger = saying.other is not None and person.id not in (saying.npc.id, saying.other.id)
    if stranger and isinstance(person, Player) and _OWNS_MUCH.match(text, at):
        yield saying.unknown(person.id, f"{person.id} is another player")


def _is_trade(world: World, word: str) -> bool:
    lower = word.lower()
    return lower in _TRADES or any(npc.archetype.lower() == lower for npc in world.state.npcs.values())


def _about_place(saying: _Saying, place: Location, mention: Mention) -> Iterator[Claim]:
    text, at = saying.text, mention.end
    if state := _OPENNESS.match(text, at):
        really = "open" if place.open else "closed"
        holds = (state.group(1).lower() == "open") == place.open
        yield saying.claim(place.id, f"{place.id}.open", holds=holds, span=state.span(1), instead=really)
    here = saying.world.state.locations.get(saying.npc.location)
    wind = _LIES.match(text, at)
    if wind and here is not None and here.map == place.map:
        really = direction((here.x, here.y), (place.x, place.y))
        told = wind.group(1).lower().replace(" ", "-").replace("northe", "north-e").replace("northw", "north-w")
        told = told.replace("southe", "south-e").replace("southw", "south-w").replace("--", "-")
        yield saying.claim(
            place.id, f"{place.id}.x,y", holds=_same_wind(told, really), span=wind.span(1), instead=really
        )


def _same_wind(told: str, really: str) -> bool:
    """Whether two winds are the same or neighbors: people point roughly."""
    if told not in COMPASS or really not in COMPASS:
        return False
    winds: tuple[str, ...] = COMPASS
    apart = abs(winds.index(told) - winds.index(really))
    return min(apart, 8 - apart) <= 1


def _about_fact(saying: _Saying, subject: AnyEntity, mention: Mention) -> Iterator[Claim]:
    """`SUBJECT's PREDICATE is VALUE`, for predicates that some fact about the subject has."""
    stated = _PROPERTY.match(saying.text, mention.end)
    if not stated:
        return
    predicate, value = stated.group(1).casefold().replace(" ", "_"), stated.group(2).strip(" .!").casefold()
    fact = saying.world.fact(subject.id, predicate)
    source = f"fact {subject.id} {predicate}"
    if fact is None or not may_know(saying.npc, fact):
        yield saying.unknown(subject.id)
    elif saying.other is not None and not may_tell(saying.world, saying.npc, saying.other, fact):
        yield saying.unknown(subject.id, f"{source} is private")
    else:
        number = isinstance(fact.value, float | int) and not isinstance(fact.value, bool)
        entity = saying.world.entity(fact.value) if isinstance(fact.value, str) else None
        told = f"{fact.value:g}" if number else (entity.name if entity is not None else "") or str(fact.value)
        holds = told.casefold() in value
        end = stated.start(2) + len(stated.group(2).rstrip(" .!"))
        yield saying.claim(subject.id, source, holds=holds, span=(stated.start(2), end), instead=told)


_TRADES = frozenset({
    "baker", "blacksmith", "smith", "guard", "soldier", "innkeeper", "merchant", "farmer", "miller", "hunter", "priest",
    "elder", "alchemist", "fisher", "fisherman", "tailor", "carpenter", "bandit", "thief", "wizard", "king", "mayor",
})  # fmt: skip
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+")
_IS = r"(?:\s+(?:is|was|has been|are)|['’]s)"
_ADVERB = r"(?:\s+(?:now|already|still|also|just|really|certainly|sadly|long))*"
_HYPOTHETICAL = re.compile(r"\b(if|unless|perhaps|maybe|might|may|could|would|should|wish|suppose|imagine)\b", re.I)
_NEGATED = re.compile(r"\b(not|never|no longer|nobody|cannot)\b|n['’]t\b", re.I)
_FIRST_PERSON = re.compile(r"\bI\b(?:['’](?:m|ve))?")
_SECOND_PERSON = re.compile(r"\byou\b(?:['’](?:re|ve))?", re.I)
_BEING_AT = re.compile(
    r"(?:\b(?:is|was|are|lives?|works?|stays?|sits?|stands?|waits?|sleeps?|hides?|found|am|lies|keeps?|runs?)\b|['’](?:s|m)\b)"
    r"(?:\s+\w+){0,3}?\s+(?:in|at|inside|by|near|beside|on)\s+(?:the\s+|our\s+|my\s+|old\s+)*$",
    re.I,
)
_HAVING = re.compile(
    r"\b(?:has|have|hold|holds|carry|carries|own|owns|keep|keeps|sell|sells|wields?)\b(?:\s+\w+){0,3}\s*$", re.I
)
_NONE = re.compile(r"\b(?:no|neither|nor)\s*$", re.I)
_KILLED = re.compile(r"^\s+(?:has |have |had )?(?:killed|murdered|slain|slew|poisoned)\s*$", re.I)
_DEAD = re.compile(
    rf"{_IS}{_ADVERB}\s+(?:dead|gone for good|slain|killed|murdered|buried)\b|\s+(?:died|has died|passed away)\b", re.I
)
_ALIVE = re.compile(rf"{_IS}{_ADVERB}\s+(?:alive|living)\b|\s+lives\s+still\b", re.I)
_TRADE = re.compile(rf"{_IS}{_ADVERB}\s+(?:a|an|the|our)\s+(\w+)\b", re.I)
_LEVEL = re.compile(rf"{_IS}{_ADVERB}\s+(?:at\s+|of\s+|a\s+)?level\s+(\d{{1,6}})\b", re.I)
_OWNS_MUCH = re.compile(
    r"\s+(?:has|owes|carries|earned|holds|owns|hides?|keeps?|buried|stole)\b.{0,40}?"
    r"\b(?:\d+|gold|coins?|silver|debts?|secrets?|password|treasure)\b",
    re.I,
)
_OPENNESS = re.compile(rf"{_IS}{_ADVERB}\s+(open|closed|shut|locked|barred)\b(?!\s+to\b)", re.I)
_LIES = re.compile(
    r"(?:\s+(?:is|lies|sits|stands)|['’]s)(?:\s+\w+){0,4}?\s+(?:to the |due |just )?"
    r"((?:north|south)[- ]?(?:east|west)|north|south|east|west)\b",
    re.I,
)
_PRICE = re.compile(r"\s+(?:costs?|is worth|sells for|goes for)(?:\s+you)?\s+(\d+(?:\.\d+)?(?:\s+coins?)?)\b", re.I)
_PROPERTY = re.compile(r"['’]s\s+([a-z_]+(?: [a-z_]+)?)\s+is\s+(.+)", re.I)

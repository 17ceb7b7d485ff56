"""Quest texts from a grammar: derivations whose slots hold names of bound entities, nothing else.

It needs no model. Which derivation is used is drawn from the seed; among a few of them the one is taken that sounds
least like what was heard of late. The template that is kept with a text, `symbol#draw?known` and more of them after a
`+`, gives the same text again, and the same thing said in another language.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from app.core.ids import stable_hash
from app.modules.quests.planning.domain import PLAYER, Schema, own_news
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import Grammar, Slot, load_grammar
from app.modules.quests.prose.heard import Heard
from app.modules.quests.prose.names import Namer
from app.modules.quests.quest import QuestText
from app.world.events import Happened

__all__ = ["Grammar", "Template", "Writer", "load_grammar", "roles_of", "symbol_of"]

DRAWS = 24
"""Derivations of each part that are looked at for one text."""
FRESH = 0.6
"""How much of a text may have been heard (see `Heard.known`) that still sounds new; names alone are as much."""
DRAW_BITS = 40
STRIDE = 0x9E3779B97F
"""From one draw to the next; far apart, so that they have nothing in common."""
Facts = tuple[tuple[str, ...], ...]


class Template(msgspec.Struct, frozen=True):
    """Symbols and which of their derivations, one after the other, and what was known when they were chosen."""

    parts: tuple[tuple[str, int], ...]
    so: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> Template:
        """From the form in which texts keep it."""
        head, _, so = text.partition("?")
        parts = (part.partition("#") for part in head.split("+"))
        drawn = tuple((symbol, int(draw or "0", 16)) for symbol, _, draw in parts)
        return cls(drawn, frozenset(filter(None, so.split("&"))))

    def __str__(self) -> str:
        known = "?" + "&".join(sorted(self.so)) if self.so else ""
        return "+".join(f"{symbol}#{draw:x}" for symbol, draw in self.parts) + known


class Writer:
    """Writes the texts of one quest in one world; the same seed and what was heard choose the same derivations.

    Without `heard` the first one is taken. `so` is what is known beside the roles (see `tone.py`), `names` what those
    were called who are gone from the world.
    """

    def __init__(
        self,
        grammar: Grammar,
        view: View,
        seed: int,
        *,
        heard: Heard | None = None,
        so: frozenset[str] = frozenset(),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._grammar = grammar
        self._view = view
        self._seed = seed
        self._heard = heard
        self._so = so
        self._namer = Namer(grammar, view, names)
        self._names: dict[tuple[str, str, str], tuple[str, bool]] = {}

    def text(self, id: str, symbol: str, roles: Mapping[str, str], facts: Facts = ()) -> QuestText:
        """A new text with a stable id; raises Broken for a symbol that the grammar lacks."""
        return self._composed(id, (symbol,), roles, facts)

    def plea(self, id: str, strategy: str, motive: str, roles: Mapping[str, str], facts: Facts = ()) -> QuestText:
        """What the giver says: the strategy's plea, and what stands around it."""
        so = self._so | {PLAYER} if roles.get(PLAYER) else self._so
        shapes = [symbols for needs, symbols in self._grammar.shapes if needs <= so]
        shape = shapes[stable_hash(self._seed, id, "shape") % len(shapes)]
        means = {"plea": f"strategies.{strategy}.pleas", "why": f"motives.{motive}"}
        return self._composed(id, [means.get(symbol, symbol) for symbol in shape], roles, facts)

    def again(self, id: str, template: Template, roles: Mapping[str, str], facts: Facts = ()) -> QuestText:
        """The text that a template stands for, in this writer's language."""
        named: dict[str, None] = {}
        pieces = [self._derived(symbol, draw, template.so, roles, named) for symbol, draw in template.parts]
        return QuestText(id=id, template=str(template), text=" ".join(pieces), entities=tuple(named), facts=facts)

    def names(self, ids: Iterable[str]) -> dict[str, str]:
        """What those of the ids are called that the world knows and that are no players."""
        known = (id for id in ids if self._view.entity(id) is not None and id not in self._view.players)
        return {id: self._namer.plain(id) for id in known}

    def place(self, id: str) -> str:
        """Where somebody is; empty where the world does not say."""
        npc = self._view.npcs.get(id)
        return self._view.place_of(npc) if npc is not None else ""

    def step(self, schema: Schema, args: Sequence[str]) -> str:
        """What the player is to do, in a short sentence."""
        event = schema.happened(args, PLAYER)
        return self.text("step", symbol_of(schema.name, event), roles_of(schema.name, event)).text

    def reason(self, kind: str, roles: Mapping[str, str]) -> str:
        """Why a quest failed, as its giver would say it."""
        return self.text("reason", f"reasons.{kind}", roles).text

    def _composed(self, id: str, symbols: Sequence[str], roles: Mapping[str, str], facts: Facts) -> QuestText:
        """Each part is drawn for itself, the least heard of a few."""
        so = self._so | {PLAYER} if roles.get(PLAYER) else self._so
        parts = tuple((symbol, self._drawn(id, symbol, so, roles)) for symbol in symbols)
        found = self.again(id, Template(parts, so), roles, facts)
        if self._heard is not None:
            self._heard.add(found.text)
        return found

    def _drawn(self, id: str, symbol: str, so: frozenset[str], roles: Mapping[str, str]) -> int:
        """The earliest derivation that sounds fresh, so that all have their turn; failing that, the least heard."""
        heard = self._heard
        first = stable_hash(self._seed, roles.get("giver", ""), id, symbol) >> (63 - DRAW_BITS)
        if heard is None:
            return first
        best, least = first, math.inf
        for turn in range(DRAWS):
            draw = (first + turn * STRIDE) & ((1 << DRAW_BITS) - 1)
            known = heard.known("".join(self._pieces(symbol, draw, so, roles, {})), least)
            if known < least:
                best, least = draw, known
            if least <= FRESH:
                break
        return best

    def _derived(
        self, symbol: str, draw: int, so: frozenset[str], roles: Mapping[str, str], named: dict[str, None]
    ) -> str:
        return _sentences(" ".join("".join(self._pieces(symbol, draw, so, roles, named)).split()))

    def _pieces(
        self, symbol: str, draw: int, so: frozenset[str], roles: Mapping[str, str], named: dict[str, None]
    ) -> list[str]:
        """The words of a derivation, before they are made into sentences."""
        pieces: list[str] = []
        for part in self._grammar.parts(symbol, draw, so):
            if not isinstance(part, Slot):
                pieces.append(part)
            elif part.role == "topic":
                about, phrase = self._topic(roles["topic"])
                inner = self._grammar.parts(phrase, draw, so)
                pieces += (self._named(s, {"about": about}, named) if isinstance(s, Slot) else s for s in inner)
            else:
                pieces.append(self._named(part, roles, named))
        return pieces

    def _named(self, slot: Slot, roles: Mapping[str, str], named: dict[str, None]) -> str:
        value = roles[slot.role]
        key = slot.role, value, slot.form
        if key not in self._names:
            self._names[key] = self._namer.filled(*key), self._view.entity(value) is not None
        name, known = self._names[key]
        if known:
            named[value] = None
        return name

    def _topic(self, topic: str) -> tuple[str, str]:
        """What a topic is about, and the rule by which it is spoken of."""
        kind, _, about = topic.partition(" ")
        if kind in ("seen", "slain", "news") and self._view.entity(about) is not None:
            return about, f"topics.{kind}"
        subject, _, _ = topic.rpartition(" ")
        return (subject, "topics.fact") if self._view.entity(subject) is not None else (topic, "topics.other")


def symbol_of(action: str, event: Happened) -> str:
    """The rule of an action's texts; asking someone how they fare has one of its own."""
    own = action == "learn" and event.topic == own_news(event.target)
    return f"actions.{action}_news" if own else f"actions.{action}"


def roles_of(action: str, event: Happened) -> dict[str, str]:
    """What the texts of an action may name, from the event that completes it."""
    other = event.actor if action in ("report", "trade") else event.target
    found = {"target": other, "item": event.item, "location": event.location, "topic": event.topic}
    if action == "train":
        found["skill"] = found.pop("topic")
    return {role: value for role, value in found.items() if value}


def _sentences(text: str) -> str:
    """The text with a capital at the start of each sentence, and no space before a sign that ends one."""
    text = re.sub(r" +([,.;:!?])", r"\1", text)
    return re.sub(r"(^[„“\"]?|[.!?] [„“\"]?)([a-zà-ÿ])", lambda found: found[1] + found[2].upper(), text)

"""Quest texts from a grammar: authored templates whose slots hold names of bound entities, nothing else.

It needs no model. Which template is used is drawn from the seed, and its id is kept with the quest, so
that a translation can be made from the same ids later.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence

import msgspec

from app.core.ids import stable_hash
from app.modules.quests.domain import Schema, data
from app.modules.quests.facts import View

Lines = tuple[str, ...]


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The texts of one strategy."""

    titles: Lines
    pleas: Lines


class Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How each kind of topic is named inside a sentence."""

    seen: str
    slain: str
    news: str
    fact: str


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All texts of one language."""

    openings: Lines
    closings: Lines
    motives: dict[str, Lines]
    actions: dict[str, Lines]
    topics: Topics
    reasons: dict[str, Lines]
    strategies: dict[str, Story]


def load_grammar(language: str = "en") -> Grammar:
    """Read the shipped texts of one language."""
    return msgspec.convert(tomllib.loads(data(f"prose.{language}.toml").decode()), Grammar)


class Writer:
    """Writes the texts of one quest in one world; the same seed chooses the same templates."""

    def __init__(self, grammar: Grammar, view: View, seed: int) -> None:
        self._grammar = grammar
        self._view = view
        self._seed = seed

    def title(self, strategy: str, roles: Mapping[str, str]) -> tuple[str, str]:
        """A title, and the id of its template."""
        return self._told(f"strategies.{strategy}.titles", self._grammar.strategies[strategy].titles, roles)

    def description(self, strategy: str, motive: str, roles: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """What the giver says, and the ids of the templates that it is made of."""
        parts = [
            self._told("openings", self._grammar.openings, roles),
            self._told(f"strategies.{strategy}.pleas", self._grammar.strategies[strategy].pleas, roles),
            self._told("closings", self._grammar.closings, roles),
        ]
        if motive in self._grammar.motives:
            parts.insert(1, self._told(f"motives.{motive}", self._grammar.motives[motive], roles))
        return " ".join(text for text, _ in parts), tuple(id for _, id in parts)

    def step(self, schema: Schema, args: Sequence[str]) -> str:
        """What the player is to do, in a short sentence."""
        roles = dict(zip(schema.params, args, strict=True))
        text, _ = self._told(f"actions.{schema.name}", self._grammar.actions[schema.name], roles)
        return text

    def reason(self, kind: str, roles: Mapping[str, str]) -> str:
        """Why a quest failed, as its giver would say it."""
        text, _ = self._told(f"reasons.{kind}", self._grammar.reasons[kind], roles)
        return text

    def _told(self, id: str, lines: Lines, roles: Mapping[str, str]) -> tuple[str, str]:
        number = stable_hash(self._seed, id, *sorted(roles.values())) % len(lines)
        names = {role: self._name(role, value) for role, value in roles.items()}
        text = lines[number].format_map(names)
        return text[:1].upper() + text[1:], f"{id}.{number}"

    def _name(self, role: str, value: str) -> str:
        return self._topic(value) if role == "topic" else self._view.name(value)

    def _topic(self, topic: str) -> str:
        kind, _, about = topic.partition(" ")
        words = {
            "seen": self._grammar.topics.seen,
            "slain": self._grammar.topics.slain,
            "news": self._grammar.topics.news,
        }
        if kind in words and self._view.entity(about) is not None:
            return words[kind].format(self._view.name(about))
        subject, _, predicate = topic.rpartition(" ")
        if self._view.entity(subject) is not None:
            return self._grammar.topics.fact.format(self._view.name(subject), predicate.replace("_", " "))
        return topic.replace("_", " ")

"""Quest texts from a grammar: authored templates whose slots hold names of bound entities, nothing else.

It needs no model. Which template is used is drawn from the seed, and its id is kept with the quest, so
that a translation can be made from the same ids later.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence

import msgspec

from app.core.ids import stable_hash
from app.modules.quests.planning.domain import Schema, data, own_news
from app.modules.quests.planning.facts import View

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

    articles: Lines
    """The definite one first; a name that begins with any of them gets none."""
    openings: Lines
    closings: Lines
    motives: dict[str, Lines]
    actions: dict[str, Lines]
    topics: Topics
    reasons: dict[str, Lines]
    strategies: dict[str, Story]
    branches: dict[str, Lines]


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
        own = "target" in roles and roles.get("topic") == own_news(roles["target"])
        key = f"{schema.name}_news" if own and f"{schema.name}_news" in self._grammar.actions else schema.name
        text, _ = self._told(f"actions.{key}", self._grammar.actions[key], roles)
        return text

    def branch(self, kind: str, roles: Mapping[str, str]) -> str:
        """What sets another way to the end apart."""
        text, _ = self._told(f"branches.{kind}", self._grammar.branches[kind], roles)
        return text

    def reason(self, kind: str, roles: Mapping[str, str]) -> str:
        """Why a quest failed, as its giver would say it."""
        text, _ = self._told(f"reasons.{kind}", self._grammar.reasons[kind], roles)
        return text

    def _told(self, id: str, lines: Lines, roles: Mapping[str, str]) -> tuple[str, str]:
        number = stable_hash(self._seed, id, *sorted(roles.values())) % len(lines)
        names = {role: self._name(role, value) for role, value in roles.items()}
        return _sentences(lines[number].format_map(names)), f"{id}.{number}"

    def _name(self, role: str, value: str) -> str:
        return self._topic(value) if role == "topic" else self._called(value)

    def _called(self, id: str) -> str:
        """A name as a sentence takes it: a common noun gets an article, a name or phrase stands as it is."""
        name = self._view.name(id)
        common = (id in self._view.items or id in self._view.npcs) and name[:1].islower()
        articled = name.partition(" ")[0] in self._grammar.articles
        return f"{self._grammar.articles[0]} {name}" if common and not articled else name

    def _topic(self, topic: str) -> str:
        kind, _, about = topic.partition(" ")
        words = {
            "seen": self._grammar.topics.seen,
            "slain": self._grammar.topics.slain,
            "news": self._grammar.topics.news,
        }
        if kind in words and self._view.entity(about) is not None:
            return words[kind].format(self._called(about))
        subject, _, _ = topic.rpartition(" ")
        if self._view.entity(subject) is not None:
            return self._grammar.topics.fact.format(self._called(subject))
        return topic.replace("_", " ")


def _sentences(text: str) -> str:
    """The text with a capital at the start of each sentence."""
    return re.sub(r"(^|[.!?] )([a-zà-ÿ])", lambda found: found[1] + found[2].upper(), text)

"""What lore may state and how it is said: closed predicates, words and sentences, read once and checked.

A sentence cites exactly the facts that it has slots for. It knows no world.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Literal

import msgspec

from app.core.errors import Broken
from app.world.entities import Kind

LANGUAGES = ("en", "de")
DERIVED = ("works_at", "lives_at", "member_of", "feud_with", "ally_of", "seat")
"""Predicates that the world's own entities say, and that are never asserted."""
BESIDE = frozenset({"founded_for", "rebuilt_year", "trade_year", "feud_over"})
"""Predicates that are told beside others alone."""
SUBJECT_SLOTS = frozenset({"subject", "name"})


class Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said of whom, once: `after` names years that come before, with the years between at least."""

    of: tuple[Kind, ...]
    value: Literal["year", "person", "words", "member"]
    ages: tuple[int, int] = (0, 0)
    after: dict[str, int] = {}
    within: int = 0
    needs: tuple[str, ...] = ()
    link: str = ""
    """A predicate that names another entity, whose own years bound this one too."""
    shared: bool = False
    """Whether two entities that are linked to one another say the same."""
    known: Literal["public", "self", "faction", "keepers"] = "public"
    chance: float = 1.0
    aliases: tuple[str, ...] = ()


class Sentence(msgspec.Struct, frozen=True):
    """A sentence with slots, and the predicates that it tells, in the order of its slots."""

    text: str
    tells: tuple[str, ...]


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    of: tuple[Kind, ...]
    texts: tuple[str, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: dict[str, tuple[str, ...]]
    sentences: tuple[_Group, ...]


class Language(msgspec.Struct, frozen=True):
    """The words and sentences of one language; `known` are all its words, folded."""

    words: dict[str, tuple[str, ...]]
    sentences: dict[str, tuple[Sentence, ...]]
    known: frozenset[str]


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people of long ago were called."""

    first: tuple[str, ...]
    last: tuple[str, ...]


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    predicates: dict[str, Predicate]
    names: Names


class Tables(msgspec.Struct, frozen=True):
    """All of it; predicates in the order in which facts are founded."""

    predicates: dict[str, Predicate]
    names: Names
    languages: dict[str, Language]

    def language(self, tag: str) -> Language:
        """The language of a tag such as `de` or `de-AT`; English where none ships."""
        return self.languages.get(tag.partition("-")[0].lower(), self.languages["en"])


@lru_cache(1)
def load_tables() -> Tables:
    """The shipped tables; raises Broken where they are at odds with themselves."""
    facts = msgspec.convert(tomllib.loads(_text("lore.toml")), _Facts)
    languages = {tag: _language(tag) for tag in LANGUAGES}
    tables = Tables(predicates=facts.predicates, names=facts.names, languages=languages)
    for fault in _faults(tables):
        raise Broken(f"lore: {fault}")
    return tables


def slots_of(text: str) -> tuple[str, ...]:
    """The slots of a sentence, each once, in order."""
    return tuple(dict.fromkeys(_SLOT.findall(text)))


def folded(text: str) -> list[str]:
    """The words and numbers of a text in small letters."""
    return [word.casefold() for word in _WORD.findall(text)]


def _text(name: str) -> str:
    return (resources.files("app.modules.content") / "data" / name).read_text(encoding="utf-8")


def _language(tag: str) -> Language:
    file = msgspec.convert(tomllib.loads(_text(f"lore.{tag}.toml")), _File)
    sentences: dict[str, tuple[Sentence, ...]] = {}
    for group in file.sentences:
        made = tuple(
            Sentence(text, tuple(slot for slot in slots_of(text) if slot not in SUBJECT_SLOTS)) for text in group.texts
        )
        for kind in group.of:
            sentences[kind] = (*sentences.get(kind, ()), *made)
    texts = [*(word for words in file.words.values() for word in words)]
    texts += [_SLOT.sub(" ", each.text) for group in sentences.values() for each in group]
    return Language(file.words, sentences, frozenset(word for text in texts for word in folded(text)))


def _faults(tables: Tables) -> list[str]:
    found: list[str] = []
    known = {*tables.predicates, *DERIVED}
    for name, predicate in tables.predicates.items():
        found += [f"{name!r} names {other!r}" for other in (*predicate.after, *predicate.needs) if other not in known]
        for tag, language in tables.languages.items():
            if predicate.value == "words" and name not in language.words:
                found.append(f"{name!r} has no words in {tag!r}")
    for tag, language in tables.languages.items():
        told: set[tuple[str, str]] = set()
        for kind, sentences in language.sentences.items():
            for sentence in sentences:
                found += [] if sentence.tells else [f"{sentence.text!r} tells no fact"]
                found += [f"{tag}: no fact {each!r}" for each in sentence.tells if each not in known]
                told |= {(kind, sentence.tells[0])} if len(sentence.tells) == 1 else set()
        for name, predicate in tables.predicates.items():
            linked = {"feud_over", "trade_year", "rebuilt_year", "founded_for"}
            found += [
                f"{tag}: nothing tells {name!r}" for of in predicate.of if name not in linked and (of, name) not in told
            ]
    return found


_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*")

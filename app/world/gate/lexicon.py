"""What each language promises with, asks with and declines with: the data files in `lexicons/`, read once.

It knows words and patterns. It does not know the world, nor which language a sentence is in: all are tried.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Set
from functools import lru_cache
from importlib import resources

import msgspec

from app.world.gate.disguises import plain

LANGUAGES = ("en", "de", "fr", "es")
"""Languages whose promises are known by their grammar."""
FALLBACK = "en"


class Promises(msgspec.Struct, frozen=True):
    """How one act is promised: one of the words stands in the sentence and one of the patterns matches."""

    words: frozenset[str]
    pattern: re.Pattern[str]


class Lexicon(msgspec.Struct, frozen=True, kw_only=True):
    """One language; sentences are folded by `plain` before anything here is tried on them."""

    promises: dict[str, Promises]
    triggers: frozenset[str]
    """Words without which nothing is promised."""
    hypothetical: re.Pattern[str]
    negated: re.Pattern[str]
    question: re.Pattern[str]
    transfer: frozenset[str]
    """Words of giving and taking..."""
    you: frozenset[str]
    """...words for the one who is spoken to..."""
    pardon: frozenset[str]
    """...and words of bargaining, beside which giving is talk about a price."""
    telling: frozenset[str]
    """Words that tell the language: those that hardly a sentence does without, and those above."""
    capitals: frozenset[str]
    """Words that are written with a capital and name nobody."""
    lines: dict[str, tuple[str, ...]]
    """What is said instead, by what was cut."""


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    words: list[str]
    patterns: list[str]


class _Talk(msgspec.Struct, forbid_unknown_fields=True):
    hypothetical: str
    negated: str
    question: str
    transfer: list[str]
    you: list[str]
    pardon: list[str]
    common: list[str]
    capitals: list[str]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    openings: dict[str, str]
    promises: dict[str, _Section]
    talk: _Talk
    lines: dict[str, tuple[str, ...]]


@lru_cache(1)
def lexicons() -> dict[str, Lexicon]:
    """Every language that ships, by its code."""
    return {language: _read(language) for language in LANGUAGES}


def lexicon_of(language: str) -> Lexicon:
    """The lexicon of a language tag such as `de` or `de-AT`; English where none ships."""
    known = lexicons()
    return known.get(language.partition("-")[0].lower(), known[FALLBACK])


def language_of(words: Set[str], usual: str) -> str:
    """The language that a sentence of these words is in: `usual`, unless another one has more of them."""
    found = {language: len(words & each.telling) for language, each in lexicons().items()}
    best = max(found, key=found.__getitem__)
    return best if found[best] > found.get(usual.partition("-")[0].lower(), 0) else usual


@lru_cache(1)
def stems() -> tuple[str, ...]:
    """Pieces of words of giving in languages without a lexicon."""
    found: list[str] = tomllib.loads(_text("other"))["stems"]
    return tuple(f" {stem}" if stem.isascii() else stem for stem in map(plain, found))


def _text(name: str) -> str:
    return (resources.files(__package__) / "lexicons" / f"{name}.toml").read_text(encoding="utf-8")


def _read(language: str) -> Lexicon:
    file = msgspec.convert(tomllib.loads(_text(language)), _File)
    promises = {
        action: Promises(frozenset(section.words), _compiled("|".join(section.patterns), file.openings))
        for action, section in file.promises.items()
    }
    talk = file.talk
    return Lexicon(
        promises=promises,
        triggers=frozenset().union(*(each.words for each in promises.values())),
        hypothetical=_compiled(talk.hypothetical, {}),
        negated=_compiled(talk.negated, {}),
        question=_compiled(talk.question, {}),
        transfer=frozenset(talk.transfer),
        you=frozenset(talk.you),
        pardon=frozenset(talk.pardon),
        telling=frozenset({*talk.common, *talk.you}).union(*(each.words for each in promises.values())),
        capitals=frozenset(talk.capitals),
        lines=file.lines,
    )


def _compiled(pattern: str, openings: dict[str, str]) -> re.Pattern[str]:
    for name, opening in [*openings.items()][::-1]:
        pattern = pattern.replace(name, opening)
    return re.compile(pattern, re.IGNORECASE)

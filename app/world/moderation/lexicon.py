"""The words and phrases that a category is known by, of every language at once, and what stands in their place.

They are data, one file a language. It finds; what is done about a find is the pack's matter.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import NamedTuple

import msgspec

from app.world.moderation import folding

LANGUAGES = ("en", "de", "fr", "es")
PART_LETTERS_MAX = 40
"""A longer part is read up to here; no word is as long."""


class Find(NamedTuple):
    """A word of a category; `soft` is the milder one, empty where there is none."""

    category: str
    soft: str


class _WordRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: str
    forms: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    soft: str = ""
    rot13: bool = False


class _PhraseRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: str
    cue: tuple[str, ...]
    pattern: str
    rot13: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: tuple[_WordRow, ...]
    phrases: tuple[_PhraseRow, ...] = ()
    except_: tuple[str, ...] = msgspec.field(name="except", default=())


class Phrase(NamedTuple):
    """What several words say together."""

    category: str
    pattern: re.Pattern[str]


@dataclass(slots=True)
class Lexicon:
    """Every form by its word, and phrases by their cues."""

    words: dict[str, Find] = field(default_factory=dict)
    inside: list[tuple[str, Find]] = field(default_factory=list)
    excepted: set[str] = field(default_factory=set)
    cues: dict[str, list[Phrase]] = field(default_factory=dict)
    by_length: dict[int, list[str]] = field(default_factory=dict)

    def find(self, part: str) -> Find | None:
        """What one word is of; it is read in each way that it may be meant."""
        part = part[:PART_LETTERS_MAX]
        found = self.words.get(folding.marked(part)) if not part.isascii() else None
        ways = folding.forms(part)
        if found is not None or not self.excepted.isdisjoint(ways):
            return found
        return self._whole(ways) or self._inside(ways) or self._starred(part)

    def phrases(self, words: Sequence[str]) -> Iterator[str]:
        """The categories of phrases in folded words."""
        met = {id(phrase): phrase for word in words for phrase in self.cues.get(word, ())}
        if met:
            text = " ".join(words)
            for phrase in met.values():
                if phrase.pattern.search(text):
                    yield phrase.category

    def _whole(self, ways: Sequence[str]) -> Find | None:
        return next((self.words[way] for way in ways if way in self.words), None)

    def _inside(self, ways: Sequence[str]) -> Find | None:
        return next((find for stem, find in self.inside for way in ways if stem in way), None)

    def _starred(self, part: str) -> Find | None:
        """A strong word with stars for letters; a mild one is too like a good one without its letters."""
        wanted = folding.starred(part)
        if not wanted:
            return None
        pattern = re.compile(wanted)
        length = len(folding.plain(part).strip("*#%"))
        known = (self.words[word] for word in self.by_length.get(length, ()) if pattern.fullmatch(word))
        return next((find for find in known if find.category in _STARRED), None)


_STARRED = frozenset(("profanity_strong", "hate"))


@cache
def load() -> Lexicon:
    """The lexicon of every language; raises msgspec.ValidationError for a file that cannot be one."""
    lexicon = Lexicon()
    for language in LANGUAGES:
        text = resources.files(__package__).joinpath("words", f"{language}.toml").read_text(encoding="utf-8")
        file = msgspec.convert(tomllib.loads(text), _File)
        lexicon.excepted.update(map(folding.plain, file.except_))
        for row in file.words:
            _add(lexicon, row)
        for phrase in file.phrases:
            _add_phrase(lexicon, phrase.category, _read(phrase.cue, rot13=phrase.rot13), _clear(phrase))
    for word in lexicon.words:
        lexicon.by_length.setdefault(len(word), []).append(word)
    return lexicon


def _add(lexicon: Lexicon, row: _WordRow) -> None:
    find = Find(row.category, row.soft)
    for form in _read(row.forms, rot13=row.rot13):
        if " " in form:
            bare = folding.plain(form)
            _add_phrase(lexicon, row.category, (bare.split()[0],), rf"\b{re.escape(bare)}\b")
        else:
            lexicon.words.setdefault(form if form.isascii() else folding.marked(form), find)
    lexicon.inside += [(stem, Find(row.category, "")) for stem in _read(row.inside, rot13=row.rot13)]


def _add_phrase(lexicon: Lexicon, category: str, cues: Sequence[str], pattern: str) -> None:
    phrase = Phrase(category, re.compile(pattern))
    for cue in cues:
        lexicon.cues.setdefault(cue, []).append(phrase)


def _read(texts: Sequence[str], *, rot13: bool) -> tuple[str, ...]:
    return tuple(codecs.decode(text, "rot13") for text in texts) if rot13 else tuple(texts)


def _clear(phrase: _PhraseRow) -> str:
    return codecs.decode(phrase.pattern, "rot13") if phrase.rot13 else phrase.pattern

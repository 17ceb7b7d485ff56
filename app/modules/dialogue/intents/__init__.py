"""What a player's line wants, found by phrases that are data; one file a language.

It reads words, not the world: who or what is asked about is looked up by the caller.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

import msgspec

from app.core.errors import Invalid, nearest
from app.world.scene import Intent


class Meaning(NamedTuple):
    """An intent, and the words that say what it is about, in order."""

    intent: Intent
    about: tuple[str, ...]


class _IntentRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Intent
    phrases: tuple[str, ...]


class _WordLists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    empty: frozenset[str]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    intent: tuple[_IntentRow, ...]
    words: _WordLists
    synonyms: dict[str, tuple[str, ...]]
    typos: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The phrases of one language: one pattern for each row."""

    rows: tuple[_IntentRow, ...]
    patterns: tuple[re.Pattern[str], ...]
    empty: frozenset[str]
    synonyms: Mapping[str, tuple[str, ...]]
    typos: Mapping[str, str]

    def read(self, text: str) -> Meaning:
        """What `text` wants; a line without a known phrase is `unknown`."""
        folded = self.fold(text)
        scores = [self._score(pattern, folded) for pattern in self.patterns]
        best = max(range(len(scores)), key=lambda row: (scores[row], -row))
        if scores[best] == 0:
            return Meaning("unknown", self._about(folded))
        return Meaning(self.rows[best].name, self._about(folded))

    def fold(self, text: str) -> str:
        """The text case folded, with known typing errors mended and letters that were held down let go."""
        folded = _HELD.sub(r"\1", text.casefold().replace("’", "'").replace("`", "'"))
        return _WORD.sub(lambda match: self.typos.get(match.group(), match.group()), folded)

    def kin(self, word: str) -> frozenset[str]:
        """A word with its synonyms."""
        return frozenset((word, *self.synonyms.get(word, ())))

    def _about(self, folded: str) -> tuple[str, ...]:
        words = [word.removesuffix("'s") for word in _WORD.findall(folded)]
        return tuple(word for word in words if word not in self.empty)

    @staticmethod
    def _score(pattern: re.Pattern[str], folded: str) -> int:
        return sum(len(match.group().split()) for match in pattern.finditer(folded))


def load(language: str) -> Lexicon:
    """The lexicon of a language such as `en`; raises Invalid when none is shipped."""
    folder = resources.files(__name__)
    known = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if language not in known:
        raise Invalid(f"no intents for language {language!r}", hint=nearest(language, known))
    data = tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
    file = msgspec.convert(data, _File)
    return Lexicon(
        rows=file.intent,
        patterns=tuple(_pattern(row.phrases) for row in file.intent),
        empty=file.words.empty,
        synonyms=file.synonyms,
        typos=file.typos,
    )


def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the phrases as whole words, the longest first."""
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(phrase) for phrase in longest_first) + r")(?!\w)")


_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_HELD = re.compile(r"([^\W\d_])\1{2,}")

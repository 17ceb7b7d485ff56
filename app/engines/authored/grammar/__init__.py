"""The grammar of authored lines: symbols with variants that hold under tags and are filled from slots.

It expands; it does not know scenes. One folder of TOML files a language. After G. Compton, B. Kybartas and
M. Mateas, "Tracery" (2015), with conditions and with variants that fail when a slot has no value.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, NamedTuple

import msgspec

from app.core.errors import Invalid, nearest
from app.core.ids import stable_hash

DEPTH_MAX = 8
"""How deep symbols may stand in symbols."""
VOICE_WEIGHT = 5.0
"""How much likelier a line is that is written for the speaker's voice..."""
HEARD_WEIGHT = 400.0
"""...and one that is written for a word that was just said."""


class Variant(NamedTuple):
    """One way to say a symbol: its text in pieces, and when it may be said.

    Pieces are text, symbol and slot in turn, as `_PIECES` splits them. The tags in `needs` must hold, those in `bars`
    must not, and of each set in `heard` one word must have been said.
    """

    pieces: tuple[str | None, ...]
    needs: frozenset[str]
    bars: frozenset[str]
    heard: tuple[frozenset[str], ...]
    weight: float
    key: int
    """A hash of symbol and text, from which chance is drawn."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    groups: dict[str, tuple[str, ...]]
    voices: dict[str, tuple[str, ...]]
    weather: dict[str, tuple[str, ...]]
    verbs: dict[str, str]
    symbols: dict[str, tuple[str, ...]]
    terms: dict[str, str]
    articled: frozenset[str]
    flip: dict[str, str]
    flip_past: dict[str, str]
    flip_begins: tuple[str, ...]
    pronouns: dict[str, tuple[str, ...]]
    common: frozenset[str]
    agreement: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Grammar:
    """One language's lines, and the words that its sentences are put together from."""

    language: str
    groups: Mapping[str, tuple[str, ...]]
    voices: Mapping[str, tuple[str, ...]]
    weather: Mapping[str, tuple[str, ...]]
    verbs: Mapping[str, str]
    symbols: Mapping[str, tuple[Variant, ...]]
    terms: Mapping[str, str]
    articled: frozenset[str]
    flip: Mapping[str, str]
    """Words of a first person, as they are said back to that person..."""
    flip_past: Mapping[str, str]
    """...and those that differ when it was said some time ago; its keys are among those of `flip`."""
    flip_begins: tuple[str, ...]
    """How a line begins that can be said back so."""
    pronouns: Mapping[str, frozenset[str]]
    """`person` and `place`: the words that stand for one named before."""
    common: frozenset[str]
    """Words that say nothing about what a line is about."""
    agreement: Mapping[str, str]
    """What a verb becomes once a name was made `you` or `I`."""
    flipping: re.Pattern[str] = field(repr=False)

    def lines(
        self, symbol: str, tags: Set[str], slots: Mapping[str, str], seed: int, heard: Set[str] = frozenset()
    ) -> Iterator[str]:
        """Ways to say `symbol`, best draw first; the same seed gives the same order everywhere."""
        for variant in self._drawn(symbol, tags, seed, heard):
            text = self._expand(variant, tags, slots, _mix(seed, variant.key), heard, 0)
            if text is not None:
                yield text

    def _drawn(self, symbol: str, tags: Set[str], seed: int, heard: Set[str]) -> list[Variant]:
        """The variants that hold, in a seeded order in which the heavier come sooner: an exponential race."""
        able = [
            variant
            for variant in self.symbols.get(symbol, ())
            if variant.needs <= tags
            and not variant.bars & tags
            and (not variant.heard or all(words & heard for words in variant.heard))
        ]
        if len(able) < 2:
            return able
        return sorted(able, key=lambda variant: -math.log(_chance(seed, variant.key)) / variant.weight)

    def _expand(
        self, variant: Variant, tags: Set[str], slots: Mapping[str, str], seed: int, heard: Set[str], depth: int
    ) -> str | None:
        """The variant with its symbols and slots put in, None when one of them cannot be."""
        if depth > DEPTH_MAX:
            return None
        out: list[str] = []
        for at, piece in enumerate(variant.pieces):
            if piece is None:
                continue
            if at % 3 == 0:
                out.append(piece)
                continue
            name = piece[:1].lower() + piece[1:]
            if at % 3 == 1:
                value = self._first(name, tags, slots, _mix(seed, at), heard, depth + 1)
            else:
                value = slots.get(name) or None
            if value is None:
                return None
            out.append(value[:1].upper() + value[1:] if piece[0].isupper() else value)
        return "".join(out)

    def _first(
        self, symbol: str, tags: Set[str], slots: Mapping[str, str], seed: int, heard: Set[str], depth: int
    ) -> str | None:
        for variant in self._drawn(symbol, tags, seed, heard):
            text = self._expand(variant, tags, slots, _mix(seed, variant.key), heard, depth)
            if text is not None:
                return text
        return None


def languages() -> list[str]:
    """The languages that are shipped."""
    return sorted(entry.name for entry in resources.files(__name__).iterdir() if (entry / "words.toml").is_file())


def files(language: str) -> list[str]:
    """The texts of the files of a language that is shipped."""
    folder = resources.files(__name__).joinpath(language)
    return [entry.read_text(encoding="utf-8") for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


def load(language: str) -> Grammar:
    """The grammar of a language such as `en`; raises Invalid when none is shipped or one is at fault."""
    known = languages()
    if language not in known:
        raise Invalid(f"no authored lines for language {language!r}", hint=nearest(language, known))
    file = msgspec.convert(_merged(language), _File)
    symbols = {name: tuple(_variant(name, text) for text in texts) for name, texts in file.symbols.items()}
    for name, variants in symbols.items():
        for used in {piece for variant in variants for piece in variant.pieces[1::3] if piece}:
            if used[:1].lower() + used[1:] not in symbols:
                raise Invalid(f"symbol {name!r} uses {used!r}, which there is not", hint=nearest(used, symbols))
    longest_first = sorted(file.flip, key=len, reverse=True)
    return Grammar(
        language=language,
        groups=file.groups,
        voices=file.voices,
        weather=file.weather,
        verbs=file.verbs,
        symbols=symbols,
        terms=file.terms,
        articled=file.articled,
        flip=file.flip,
        flip_past=file.flip_past,
        flip_begins=file.flip_begins,
        pronouns={kind: frozenset(words) for kind, words in file.pronouns.items()},
        common=file.common,
        agreement=file.agreement,
        flipping=re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})\b", re.IGNORECASE),
    )


def _merged(language: str) -> dict[str, Any]:
    """The tables of all files of a language; raises Invalid where two files write the same symbol."""
    merged: dict[str, Any] = {}
    symbols: dict[str, Any] = {}
    for entry in sorted(resources.files(__name__).joinpath(language).iterdir(), key=lambda entry: entry.name):
        data = tomllib.loads(entry.read_text(encoding="utf-8"))
        twice = symbols.keys() & data.get("symbols", {}).keys()
        if twice:
            raise Invalid(f"{entry.name} writes {sorted(twice)!r} again", hint="write a symbol in one file only")
        symbols |= data.pop("symbols", {})
        merged |= data
    return {**merged, "symbols": symbols}


def _variant(symbol: str, text: str) -> Variant:
    match = _GUARD.match(text)
    marks = match.group(1).split() if match else []
    needs = frozenset(mark for mark in marks if mark[0] not in "!~")
    heard = tuple(frozenset(mark[1:].split("|")) for mark in marks if mark[0] == "~")
    weight = 1.0 + len(needs)
    if any(tag.startswith("voice_") for tag in needs):
        weight *= VOICE_WEIGHT
    if heard:
        weight *= HEARD_WEIGHT
    return Variant(
        pieces=tuple(_PIECES.split(text[match.end() :] if match else text)),
        needs=needs,
        bars=frozenset(mark[1:] for mark in marks if mark[0] == "!"),
        heard=heard,
        weight=weight,
        key=stable_hash(symbol, text),
    )


def _mix(one: int, other: int) -> int:
    """Two numbers as one of 63 bits, in which every bit depends on all (the finalizer of SplitMix64)."""
    mixed = (one ^ (other * 0x9E3779B97F4A7C15)) & _BITS
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _BITS
    return (mixed ^ (mixed >> 31)) >> 1


def _chance(seed: int, key: int) -> float:
    """A number in (0, 1)."""
    return (_mix(seed, key) + 1) / ((1 << 63) + 2)


_BITS = (1 << 64) - 1
_GUARD = re.compile(r"\[([^\]]*)\]\s*")
_PIECES = re.compile(r"#(\w+)#|\{(\w+)\}")

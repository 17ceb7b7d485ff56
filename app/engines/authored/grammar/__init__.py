"""The grammar of authored lines: symbols with variants that hold under tags and are filled from slots.

It expands; it does not know scenes. One TOML file a language. After G. Compton, B. Kybartas and
M. Mateas, "Tracery" (2015), with conditions and with variants that fail when a slot has no value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

import msgspec

from app.core.errors import Invalid, nearest
from app.core.ids import stable_hash

DEPTH_MAX = 8
"""How deep symbols may stand in symbols."""


class Variant(NamedTuple):
    """One way to say a symbol: its text, the tags that must hold, the tags that must not."""

    text: str
    needs: frozenset[str]
    bars: frozenset[str]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    groups: dict[str, tuple[str, ...]]
    weather: dict[str, tuple[str, ...]]
    verbs: dict[str, str]
    symbols: dict[str, tuple[str, ...]]
    terms: dict[str, str]
    articled: frozenset[str]


@dataclass(frozen=True, slots=True)
class Grammar:
    """One language's lines."""

    language: str
    groups: Mapping[str, tuple[str, ...]]
    weather: Mapping[str, tuple[str, ...]]
    verbs: Mapping[str, str]
    symbols: Mapping[str, tuple[Variant, ...]]
    terms: Mapping[str, str]
    articled: frozenset[str]

    def lines(self, symbol: str, tags: frozenset[str], slots: Mapping[str, str], seed: int) -> Iterator[str]:
        """Ways to say `symbol`, best draw first; the same seed gives the same order everywhere."""
        for variant in self._drawn(symbol, tags, seed):
            text = self._expand(variant.text, tags, slots, stable_hash(seed, variant.text), 0)
            if text is not None:
                yield text

    def _drawn(self, symbol: str, tags: frozenset[str], seed: int) -> list[Variant]:
        """The variants that hold, in a seeded order in which each tag that a variant needs counts double."""
        able = [
            variant for variant in self.symbols.get(symbol, ()) if variant.needs <= tags and not variant.bars & tags
        ]

        def draw(variant: Variant) -> float:
            chance = (stable_hash(seed, symbol, variant.text) % 1_000_003 + 1) / 1_000_004
            return float(chance ** (1.0 / (1.0 + len(variant.needs))))

        return sorted(able, key=draw, reverse=True)

    def _expand(self, text: str, tags: frozenset[str], slots: Mapping[str, str], seed: int, depth: int) -> str | None:
        """`text` with its symbols and slots put in, None when one of them cannot be."""
        if depth > DEPTH_MAX:
            return None
        out: list[str] = []
        for at, piece in enumerate(_PIECES.split(text)):
            if at % 3 == 0:
                out.append(piece)
            elif at % 3 == 1 and piece is not None:
                inner = self._first(piece, tags, slots, stable_hash(seed, at), depth + 1)
                if inner is None:
                    return None
                out.append(inner)
            elif at % 3 == 2 and piece is not None:
                value = slots.get(piece[:1].lower() + piece[1:], "")
                if not value:
                    return None
                out.append(value[:1].upper() + value[1:] if piece[0].isupper() else value)
        return "".join(out)

    def _first(self, symbol: str, tags: frozenset[str], slots: Mapping[str, str], seed: int, depth: int) -> str | None:
        for variant in self._drawn(symbol, tags, seed):
            text = self._expand(variant.text, tags, slots, stable_hash(seed, variant.text), depth)
            if text is not None:
                return text
        return None


def load(language: str) -> Grammar:
    """The grammar of a language such as `en`; raises Invalid when none is shipped or one is at fault."""
    folder = resources.files(__name__)
    known = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if language not in known:
        raise Invalid(f"no authored lines for language {language!r}", hint=nearest(language, known))
    data = tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
    file = msgspec.convert(data, _File)
    symbols = {name: tuple(map(_variant, texts)) for name, texts in file.symbols.items()}
    for name, variants in symbols.items():
        for variant in variants:
            for used in re.findall(r"#(\w+)#", variant.text):
                if used not in symbols:
                    raise Invalid(f"symbol {name!r} uses {used!r}, which there is not", hint=nearest(used, symbols))
    return Grammar(language, file.groups, file.weather, file.verbs, symbols, file.terms, file.articled)


def _variant(text: str) -> Variant:
    match = _GUARD.match(text)
    if match is None:
        return Variant(text, frozenset(), frozenset())
    tags = match.group(1).split()
    bars = frozenset(tag[1:] for tag in tags if tag.startswith("!"))
    return Variant(text[match.end() :], frozenset(tag for tag in tags if not tag.startswith("!")), bars)


_GUARD = re.compile(r"\[([^\]]*)\]\s*")
_PIECES = re.compile(r"#(\w+)#|\{(\w+)\}")

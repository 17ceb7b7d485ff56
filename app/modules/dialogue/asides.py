"""Short authored lines beside the line proper: fillers while a model thinks, barks for what happens.

Pure choices by seed over lines that are data. It knows no dialogue; what was said of late it is told.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple

import msgspec

from app.core.ids import stable_hash
from app.world.entities import Persona

ANY = "any"


class Asides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lines of one language."""

    filler: tuple[str, ...]
    bark: dict[str, tuple[str, ...]]


class Barked(NamedTuple):
    """A line, and the event that it is for; empty where it fits any."""

    text: str
    event: str


def load_asides() -> dict[str, Asides]:
    """The lines of every language that there are any of."""
    text = (resources.files("app.modules.dialogue") / "asides.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Asides])


def filler(asides: Mapping[str, Asides], persona: Persona, last: str, seed: int) -> str:
    """The persona's own `filler`, else one of its language, never the `last` one again; empty where there is none."""
    shipped = asides.get(persona.language)
    lines = persona.lines.get("filler") or (shipped.filler if shipped is not None else ())
    able = [line for line in lines if line != last]
    return able[stable_hash(seed, "filler") % len(able)] if able else ""


def bark(
    asides: Mapping[str, Asides],
    persona: Persona,
    words: Sequence[str],
    names: Mapping[str, str],
    said: Sequence[str],
    seed: int,
    closer: Sequence[str] = (),
) -> Barked:
    """A line for the first of `words`, event and topic, that has one which was not `said` of late.

    The persona's own come first, and lines for any event last. Where all were said, the one that was said longest
    ago comes again. `names` fill the slots; what names something unknown is left out. `closer` are the intents of the
    persona's lines for the first of the words that fit the moment more closely, the closest first.
    """
    shipped = (asides.get(persona.language) or asides["en"]).bark
    pools: list[tuple[str, Sequence[str]]] = [(words[0], persona.lines.get(intent, ())) for intent in closer if words]
    for word in words:
        pools += [(word, persona.lines.get(f"bark_{word}", ())), (word, shipped.get(word, ()))]
    pools += [("", persona.lines.get("bark", ())), ("", shipped[ANY])]
    known = {name: value for name, value in names.items() if value}
    filled = [(word, [_fill(line, known) for line in pool if _slots(line) <= known.keys()]) for word, pool in pools]
    for word, lines in filled:
        fresh = [line for line in lines if line not in said]
        if fresh:
            return Barked(fresh[stable_hash(seed, "bark") % len(fresh)], word)
    oldest = {line: at for at, line in enumerate(said)}  # the newest place of each
    word, lines = next(pool for pool in filled if pool[1])
    return Barked(min(lines, key=lambda line: oldest[line]), word)


def _slots(line: str) -> set[str]:
    return set(_SLOT.findall(line))


def _fill(line: str, names: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda slot: names[slot[1]], line)


_SLOT = re.compile(r"\{(actor|target|item|place)\}")

"""Tells facts in sentences, each fact once, and each sentence with the keys of the facts that it tells.

Pure. Facts of different audiences never share a sentence: a sentence is known by those who know its facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from app.core.ids import stable_hash
from app.modules.content.lore.canon import Held, called, kind_of
from app.modules.content.lore.tables import Language, Sentence
from app.world.entities import AnyEntity
from app.world.state import World


class Told(NamedTuple):
    """A sentence, and the keys of the facts that it tells."""

    text: str
    cites: tuple[str, ...]


def told(world: World, language: Language, tag: str, entity: AnyEntity, facts: Sequence[Held], seed: int) -> list[Told]:
    """Sentences about an entity that tell all of its facts for which there are words."""
    slots = {"subject": _subject(world, entity, tag), "name": _named(world, entity, tag)}
    slots |= {held.fact.predicate: shown(held) for held in facts}
    left = {held.fact.predicate: held for held in facts}
    found: list[tuple[int, Told]] = []
    order = list(slots)
    sentences = language.sentences.get(kind_of(entity), ())
    for sentence in sorted(sentences, key=lambda each: (-len(each.tells), stable_hash(seed, entity.id, each.text))):
        if not _fits(sentence, left):
            continue
        text = _sentences(sentence.text.format_map(slots))
        cites = tuple(left.pop(name).key for name in sentence.tells)
        found.append((min(order.index(name) for name in sentence.tells), Told(text, cites)))
    return [each for _, each in sorted(found, key=lambda row: row[0])]


def shown(held: Held) -> str:
    """A value as it stands in a sentence; years are whole numbers."""
    value = held.fact.value
    return f"{value:g}" if isinstance(value, float | int) and not isinstance(value, bool) else str(value)


def _fits(sentence: Sentence, left: dict[str, Held]) -> bool:
    held = [left[name] for name in sentence.tells if name in left]
    alike = len({each.fact.known_by for each in held}) == 1
    return len(held) == len(sentence.tells) and alike and len({each.fact.value for each in held}) == len(held)


def _named(world: World, entity: AnyEntity, tag: str) -> str:
    """The name as it begins a sentence or follows a colon; an English common noun gets its article."""
    name = called(world, entity.id)
    bare = name.split(" ")[0].casefold() not in ("the", "a", "an")
    return f"the {name}" if tag == "en" and bare and name[:1].islower() else name


def _subject(world: World, entity: AnyEntity, tag: str) -> str:
    """The name as an object: a German one with an article is in the accusative."""
    name = _named(world, entity, tag)
    if tag != "de" or not name.casefold().startswith("der "):
        return name
    first, *rest = name.split(" ")
    bent = [f"{word}n" if word.endswith("e") and word[:1].islower() else word for word in rest[:-1]]
    return " ".join(("Den" if first[0].isupper() else "den", *bent, rest[-1]))


def _sentences(text: str) -> str:
    """Each sentence with a capital at its start; what is quoted at the end keeps its own stop."""
    return re.sub(r"(^|[.!?] )([a-zà-ÿ])", lambda found: found[1] + found[2].upper(), text)

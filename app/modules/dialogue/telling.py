"""Which facts an NPC has at hand for a listener, as a scene holds them.

Pure: reads the world, changes nothing. A fact that the listener must not learn takes nobody's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from itertools import islice

import msgspec

from app.world.entities import Npc, Player
from app.world.gate.acts import may_tell
from app.world.gate.speech import clean_input
from app.world.lore import is_lore
from app.world.scene import Known
from app.world.state import World

FACTS_MAX = 24
ASKED_FACTS_MAX = 8
"""Facts about what was asked for, beside those that are always at hand."""
FACT_SPLIT = "\x1f"
"""Between subject and predicate in the key of a fact."""
WORLD = "world"
"""The subject of facts about the whole world, such as `weather` and `hour`."""


def known_of(world: World, npc: Npc, other: Npc | Player, about: set[str]) -> tuple[Known, ...]:
    """Facts that may be told to `other`: those about what was asked first, then about here and the two themselves.

    Which of them are always at hand does not depend on what was asked.
    """
    close = {npc.id, npc.location, npc.work, npc.home, npc.faction, WORLD, other.id}
    ranked: list[tuple[bool, float, str]] = []
    asked: list[tuple[bool, float, str]] = []
    for key, versions in world.state.facts.items():
        if versions and not is_lore(key):
            subject = key.partition(FACT_SPLIT)[0]
            row = (subject not in close, -versions[-1].from_s, key)
            ranked.append(row)
            if subject in about:
                asked.append(row)
    always = list(islice(_told(world, npc, other, ranked, FACTS_MAX), FACTS_MAX))
    beyond = (one for one in _told(world, npc, other, asked, ASKED_FACTS_MAX) if one not in always)
    found = [*always, *(msgspec.structs.replace(one, asked=True) for one in islice(beyond, ASKED_FACTS_MAX))]
    return tuple(sorted(found, key=lambda known: known.subject_id not in about))


def _told(
    world: World, npc: Npc, other: Npc | Player, ranked: list[tuple[bool, float, str]], most: int
) -> Iterator[Known]:
    """The facts among `ranked` that `npc` may tell, best first; a few are looked at before all are sorted."""
    for _, _, key in _best(ranked, 2 * most):
        subject, _, predicate = key.partition(FACT_SPLIT)
        fact = world.fact(subject, predicate) if predicate not in ("weather", "hour") else None
        if fact is None or not may_tell(world, npc, other, fact):
            continue
        entity = world.entity(subject)
        name = entity.name if entity is not None and entity.name else subject
        yield Known(
            subject_id=subject,
            subject=clean_input(name),
            predicate=clean_input(predicate),
            value=clean_input(_value(world, fact.value)),
        )


def _best(ranked: list[tuple[bool, float, str]], first: int) -> Iterator[tuple[bool, float, str]]:
    """All of them in order; the `first` ones come without the cost of sorting the others."""
    yield from nsmallest(first, ranked)
    if len(ranked) > first:
        yield from sorted(ranked)[first:]


def _value(world: World, value: str | float | bool) -> str:
    """A fact's value as it is said: an entity by its name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and (entity := world.entity(value)) is not None and entity.name:
        return entity.name
    return f"{value:g}" if isinstance(value, float | int) else value

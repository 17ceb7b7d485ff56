"""Founds facts about entities: new ones where canon is silent, and none that canon speaks against.

Pure: the same seed in the same world founds the same facts. What was founded bounds what is founded after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.ids import stable_hash
from app.modules.content.lore.canon import WORLD, YEAR, Canon, Held, bounds, keepers_of, kind_of
from app.modules.content.lore.tables import Language, Predicate, Tables
from app.world.entities import AnyEntity, Fact, Value
from app.world.state import World

NAMES_TRIED_MAX = 32


class Founder:
    """Founds facts for one request."""

    def __init__(self, world: World, tables: Tables, language: Language, seed: int, *, years: tuple[int, int]) -> None:
        self.canon = Canon(world, tables)
        self._world = world
        self._tables = tables
        self._language = language
        self._seed = seed
        self._years = years
        self._used: set[str] = {entity.name for entity in _named(world)}

    def found(self, subjects: Sequence[AnyEntity], known_by: tuple[str, ...]) -> list[Held]:
        """The new facts about all of them, in order; `known_by` is who knows of what is no secret."""
        before = [self._present()] if self.canon.now() is None else []
        made = [held for entity in subjects for held in self._about(entity, known_by)]
        return [*before, *made] if made else []

    def _present(self) -> Held:
        """The present year, the same for every seed."""
        first, last = self._years
        year = first + stable_hash(self._world.tenant, self._world.id, YEAR) % max(1, last - first + 1)
        return self.canon.add(Fact(subject=WORLD, predicate=YEAR, value=float(year)))

    def _about(self, entity: AnyEntity, known_by: tuple[str, ...]) -> list[Held]:
        made: list[Held] = []
        for name, predicate in self._tables.predicates.items():
            if kind_of(entity) not in predicate.of or self.canon.said(entity.id, name):
                continue
            if stable_hash(self._seed, entity.id, name, "chance") % 1_000 >= 1_000 * predicate.chance:
                continue
            if any(self.canon.get(entity.id, need) is None for need in predicate.needs):
                continue
            audience = self._audience(entity, predicate, known_by)
            value = self._value(entity, name, predicate) if audience is not None else None
            if value is not None and audience is not None:
                fact = Fact(subject=entity.id, predicate=name, value=value, known_by=audience)
                made.append(self.canon.add(fact))
        return made

    def _audience(self, entity: AnyEntity, predicate: Predicate, known_by: tuple[str, ...]) -> tuple[str, ...] | None:
        """Who knows of it, None where nobody would."""
        match predicate.known:
            case "self" | "faction":
                return (entity.id,)
            case "keepers":
                return keepers_of(self._world, entity) or None
        return known_by

    def _value(self, entity: AnyEntity, name: str, predicate: Predicate) -> Value | None:
        if (other := self.canon.shared(entity.id, name)) is not None:
            return other.fact.value
        drawn = stable_hash(self._seed, entity.id, name)
        match predicate.value:
            case "year":
                return self._year(entity.id, name, predicate, drawn)
            case "person":
                return self._person(drawn)
            case "member":
                return self._ruler(entity.id, drawn)
        words = self._language.words[name]
        # The same words of two neighbors would be told as two rumors of one thing.
        fresh = [each for each in words if each not in self._used] or list(words)
        chosen = fresh[drawn % len(fresh)]
        self._used.add(chosen)
        return chosen

    def _year(self, subject: str, name: str, predicate: Predicate, drawn: int) -> float | None:
        now = self.canon.now() or 0
        least, most = bounds(self.canon, self._tables, subject, name)
        first = max(now - predicate.ages[1], least if least is not None else 1, 1)
        last = min(now - predicate.ages[0], most if most is not None else now)
        return float(first + drawn % (last - first + 1)) if first <= last else None

    def _person(self, drawn: int) -> str | None:
        """A name that nobody has in this world."""
        names = self._tables.names
        for turn in range(NAMES_TRIED_MAX):
            first = names.first[stable_hash(drawn, "first", turn) % len(names.first)]
            name = f"{first} {names.last[stable_hash(drawn, 'last', turn) % len(names.last)]}"
            if name not in self._used and first not in self._used:
                self._used |= {name, first}
                return name
        return None

    def _ruler(self, faction: str, drawn: int) -> str | None:
        """Who stands highest among the living members with a name."""
        able = [npc for npc in self._world.state.npcs.values() if npc.faction == faction and npc.alive and npc.name]
        most = max((npc.level for npc in able), default=0)
        highest = sorted((npc.name, npc.id) for npc in able if npc.level == most)
        return highest[drawn % len(highest)][0] if highest else None


def _named(world: World) -> list[AnyEntity]:
    state = world.state
    return [
        *state.npcs.values(), *state.players.values(), *state.items.values(), *state.locations.values(),
        *state.factions.values(),
    ]  # fmt: skip

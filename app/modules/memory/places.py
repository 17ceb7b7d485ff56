"""Which NPCs may stand where, so that nobody looks at all of them whenever something happens.

It follows events as they are applied, and only ever adds: a call that is taken back leaves names too many, never one
too few, and whoever asks is told only of those who stand there now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.messages import Event
from app.world.entities import Npc
from app.world.events import EntityUpserted, Happened
from app.world.state import World

SLACK = 4
"""Names for each NPC, on average, from which on the index is made anew."""


@dataclass(slots=True)
class _Index:
    npcs: dict[str, Npc]
    """The table that it was made from."""
    since_seq: int
    at: dict[str, dict[str, None]] = field(default_factory=dict)
    names: int = 0

    def add(self, place: str, id: str) -> None:
        there = self.at.setdefault(place, {})
        if id not in there:
            there[id] = None
            self.names += 1


class Places:
    """The indexes of the worlds of this process; each is made when it is first asked for."""

    def __init__(self) -> None:
        self._indexes: dict[tuple[str, str], _Index] = {}

    def standing(self, world: World, place: str) -> Iterator[str]:
        """The ids of the NPCs at a place, the living and the dead."""
        npcs = world.state.npcs
        for id in self._index(world).at.get(place, ()):
            npc = npcs.get(id)
            if npc is not None and npc.location == place:
                yield id

    def follow(self, world: World, event: Event) -> None:
        """Learn from an event that was just applied who may be somewhere else now."""
        index = self._indexes.get((world.tenant, world.id))
        if index is None:
            return
        change = event.change
        if isinstance(change, Happened):
            if change.location and change.actor in world.state.npcs:
                index.add(change.location, change.actor)
        elif isinstance(change, EntityUpserted) and isinstance(change.entity, Npc):
            index.add(change.entity.location, change.entity.id)

    def forget(self, tenant: str, world: str) -> None:
        """A world is another process's, or has come from one."""
        self._indexes.pop((tenant, world), None)

    def _index(self, world: World) -> _Index:
        state, place = world.state, (world.tenant, world.id)
        index = self._indexes.get(place)
        if (
            index is None
            or index.npcs is not state.npcs
            or index.since_seq != state.since_seq
            or index.names > SLACK * len(state.npcs) + SLACK
        ):
            index = self._indexes[place] = _Index(state.npcs, state.since_seq)
            for npc in state.npcs.values():
                index.add(npc.location, npc.id)
        return index

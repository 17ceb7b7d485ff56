"""What one NPC has in its head, in RAM: the index, what is pinned, whom it knows, and the bound on all of it.

It knows events of its holders, in the order of the log, and no store.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from app.core.memory import Recollection
from app.core.messages import Event
from app.modules.memory import logic
from app.modules.memory.index import Mind, Words
from app.modules.memory.settings import Settings
from app.world.events import MemoryForgotten, MemoryNoted


class Holding:
    """The memories of one NPC and of its faction. Not for several threads at once."""

    def __init__(
        self, settings: Settings, *, npc: str, faction: str, fence: int, since_seq: int, meanings: Words | None = None
    ) -> None:
        self.npc = npc
        self.faction = faction
        self.fence = fence
        """The taking of its world by this process after which it was read; another may have written since."""
        self.since_seq = since_seq
        """The turning back of its world after which it was read."""
        self.mind = Mind(settings.ranking, meanings)
        self.memories: dict[str, Recollection] = {}
        self.pinned: dict[str, Recollection] = {}
        self.ears: set[str] = set()
        """Everybody for whom alone some memory is."""
        self.met: set[str] = set()
        """Everybody that a memory is of, or was heard with."""
        self._most = settings.mind_memories_max
        self._half_life_s = settings.half_life_days * settings.day_s
        self._order: list[tuple[float, str]] = []
        """A heap of what may go, that which goes first first; it may name memories that are gone."""

    @property
    def holders(self) -> tuple[str, ...]:
        return (self.npc, self.faction) if self.faction else (self.npc,)

    def take(self, event: Event) -> None:
        """Remember or forget what an event says; a memory that is there already stays as it is."""
        change = event.change
        if isinstance(change, MemoryForgotten):
            self.drop(change.ids)
        elif isinstance(change, MemoryNoted) and change.text and change.id not in self.memories:
            self._add(logic.recollection(event))

    def drop(self, ids: Iterable[str]) -> None:
        gone = [id for id in ids if id in self.memories]
        for id in gone:
            del self.memories[id]
            self.pinned.pop(id, None)
        self.mind.remove(gone)

    def about(self, *, thread: str, about: str) -> list[str]:
        """The ids of what was said in a dialogue, or of what is of an entity."""
        return [
            memory.id
            for memory in self.memories.values()
            if (thread and memory.thread == thread) or (about and logic.concerns(memory, about))
        ]

    def _add(self, memory: Recollection) -> None:
        self.memories[memory.id] = memory
        self.mind.add(memory)
        self.ears.update(memory.known_by)
        self.met.update(logic.persons(memory), memory.known_by)
        if memory.pinned:
            self.pinned[memory.id] = memory
            return
        heapq.heappush(self._order, (logic.keeping_weight(memory, self._half_life_s), memory.id))
        while len(self.memories) - len(self.pinned) > self._most:
            _, id = heapq.heappop(self._order)
            self.drop((id,))

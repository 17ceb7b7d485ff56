"""What NPCs have at the tip of their tongues, and what they tell each other when they talk.

All of it is in RAM and follows the log; a restart begins with what is read of an NPC. Only what anybody may be told
is ever here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.memory import Recollection
from app.core.messages import Change, Event
from app.modules.memory import logic
from app.modules.memory.places import Places
from app.modules.memory.settings import GossipSettings
from app.world.events import EntityUpserted, Happened, MemoryForgotten, MemoryNoted, QuestRecorded
from app.world.memories import REMEMBERED, happening_noted
from app.world.state import State, World, belongs

_MOVING = (Happened, QuestRecorded, EntityUpserted)
"""What somebody may remember, or stand elsewhere by."""

_Place = tuple[str, str, str]


@dataclass(slots=True)
class Ring:
    """One NPC's gossip: `recent` to tell, newest last; `heard` what it needs no telling, by what it was at first."""

    recent: deque[Recollection]
    heard: OrderedDict[str, None] = field(default_factory=OrderedDict)
    met: set[str] | None = None
    """Whom it knows; None until its memories were read."""


class Gossip:
    """The rings of many NPCs, bounded; who was silent longest is let go."""

    def __init__(self, settings: GossipSettings) -> None:
        self._settings = settings
        self._rings: OrderedDict[_Place, Ring] = OrderedDict()
        self._since: dict[tuple[str, str], tuple[int, int]] = {}
        """World -> the taking by this process, and the turning back, after which its rings were begun."""
        self._places = Places()

    def take(self, world: World, event: Event) -> None:
        """Follow an event of the log."""
        self._keep_step(world)
        change = event.change
        if isinstance(change, MemoryNoted) and change.text:
            memory = logic.recollection(event)
            for holder in change.holders:
                if holder in world.state.npcs:
                    self._note(self._ring(world, holder), memory)
        elif isinstance(change, MemoryForgotten):
            ring = self._rings.get((world.tenant, world.id, change.holder))
            if ring is not None:
                self._keep(ring, lambda memory: memory.id not in change.ids)

    def ring(self, met: set[str]) -> Ring:
        """An empty ring, nobody's yet; `met` is shared and grows."""
        return Ring(deque(maxlen=self._settings.recent_max), met=met)

    def learn(self, ring: Ring, event: Event, memories: Mapping[str, Recollection]) -> None:
        """Take up an event of a ring's NPC, of whose `memories` those count that are still there."""
        change = event.change
        if isinstance(change, MemoryNoted) and change.id in memories:
            self._note(ring, memories[change.id])
        elif isinstance(change, MemoryForgotten):
            self._keep(ring, lambda memory: memory.id not in change.ids)

    def put(self, world: World, npc: str, ring: Ring) -> None:
        """Make a ring the NPC's, in place of what it has."""
        self._keep_step(world)
        self._rings[world.tenant, world.id, npc] = ring
        self._bound(world, npc)

    def rings_of(self, state: State, events: Iterable[Event]) -> dict[str, Ring]:
        """The rings of NPCs as these events of a world make them, nobody's yet."""
        rings: dict[str, Ring] = {}
        for event in events:
            change = event.change
            if not belongs(state, event.seq):
                continue
            if isinstance(change, MemoryNoted) and change.text:
                memory = logic.recollection(event)
                for holder in change.holders:
                    if holder in state.npcs and (holder in rings or len(rings) < self._settings.npcs_max):
                        ring = rings.setdefault(holder, Ring(deque(maxlen=self._settings.recent_max)))
                        self._note(ring, memory)
            elif isinstance(change, MemoryForgotten) and change.holder in rings:
                self._keep(rings[change.holder], lambda memory, ids=change.ids: memory.id not in ids)  # type: ignore[misc]  # bound at once
        return rings

    def begin(self, world: World, rings: Mapping[str, Ring]) -> None:
        """Put what was before under what has come since; an NPC whose memories were read meanwhile has all of it."""
        self._keep_step(world)
        for npc, ring in rings.items():
            since = self._rings.get((world.tenant, world.id, npc))
            if since is not None and since.met is not None:
                continue
            for root in since.heard if since is not None else ():
                ring.heard.pop(root, None)
                ring.heard[root] = None
            there = {memory.id for memory in ring.recent}
            ring.recent.extend(memory for memory in (since.recent if since else ()) if memory.id not in there)
            self.put(world, npc, ring)

    def forget(self, tenant: str, world: str, person: str = "") -> None:
        """Let go of what is of a person, or of all in a world."""
        self._places.forget(tenant, world)
        if not person:
            self._since.pop((tenant, world), None)
        places = [place for place in self._rings if place[:2] == (tenant, world)]
        for place in places:
            if not person:
                del self._rings[place]
                continue
            self._keep(self._rings[place], lambda memory: person not in logic.persons(memory))

    def react(self, world: World, event: Event) -> Sequence[Change]:
        """What the NPCs concerned remember of an event, and what two who talk tell each other."""
        change = event.change
        if not isinstance(change, _MOVING):
            return ()
        self._keep_step(world)
        self._places.follow(world, event)
        if isinstance(change, EntityUpserted) or (isinstance(change, Happened) and change.verb not in REMEMBERED):
            return ()
        strangers = self._strangers(world, event)
        noted = happening_noted(world, event, strangers=strangers, standing=self._places.standing)
        changes: list[Change] = []
        if noted is not None and not self._knows(world, noted):
            changes.append(noted)
        if self._settings.enabled and isinstance(change, Happened) and change.verb == "talked":
            changes += self._told(world, change.actor, change.target)
            changes += self._told(world, change.target, change.actor)
        return changes

    def _keep_step(self, world: World) -> None:
        """Nobody has heard what was never said: a world that was turned back begins anew."""
        since = (world.fence, world.state.since_seq)
        if self._since.get((world.tenant, world.id)) != since:
            self.forget(world.tenant, world.id)
            self._since[world.tenant, world.id] = since

    def _told(self, world: World, teller: str, listener: str) -> list[Change]:
        if teller == listener or not (_lives(world, teller) and _lives(world, listener)):
            return []
        mine = self._rings.get((world.tenant, world.id, teller))
        if mine is None:
            return []
        theirs = self._rings.get((world.tenant, world.id, listener))
        heard = theirs.heard if theirs is not None else {}
        fresh = [memory for memory in logic.usable(world.state, mine.recent) if logic.root_of(memory) not in heard]
        fresh = [memory for memory in fresh if listener not in (*memory.tellers, *memory.participants)]
        fresh.sort(key=lambda memory: (memory.importance * memory.strength, memory.seq), reverse=True)
        decay = self._settings.decay
        return [logic.hearsay(memory, teller, listener, decay=decay) for memory in fresh[: self._settings.told_max]]

    def _strangers(self, world: World, event: Event) -> bool:
        """Whether two who talked had not met; where the NPC's memories were not read yet, nobody can tell."""
        change = event.change
        if not isinstance(change, Happened) or change.verb != "talked":
            return False
        for npc, other in ((change.actor, change.target), (change.target, change.actor)):
            ring = self._rings.get((world.tenant, world.id, npc))
            if other in world.state.players and ring is not None and ring.met is not None:
                return other not in ring.met
        return False

    def _knows(self, world: World, noted: MemoryNoted) -> bool:
        ring = self._rings.get((world.tenant, world.id, noted.holders[0]))
        return ring is not None and noted.id in ring.heard

    def _ring(self, world: World, npc: str) -> Ring:
        place = (world.tenant, world.id, npc)
        ring = self._rings.get(place)
        if ring is None:
            ring = self._rings[place] = Ring(deque(maxlen=self._settings.recent_max))
        self._bound(world, npc)
        return ring

    def _bound(self, world: World, npc: str) -> None:
        self._rings.move_to_end((world.tenant, world.id, npc))
        if len(self._rings) > self._settings.npcs_max:
            self._rings.popitem(last=False)

    def _note(self, ring: Ring, memory: Recollection) -> None:
        root = logic.root_of(memory)
        if root in ring.heard:
            return
        ring.heard[root] = None
        if len(ring.heard) > self._settings.heard_max:
            ring.heard.popitem(last=False)
        if logic.is_gossip(memory, self._settings):
            ring.recent.append(memory)

    def _keep(self, ring: Ring, wanted: Callable[[Recollection], bool]) -> None:
        ring.recent = deque((memory for memory in ring.recent if wanted(memory)), maxlen=self._settings.recent_max)


def _lives(world: World, id: str) -> bool:
    npc = world.state.npcs.get(id)
    return npc is not None and npc.alive

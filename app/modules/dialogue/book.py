"""What the dialogue module keeps in RAM: open dialogues, lines not to repeat, offers, explained lines, fresh news.

Everything here is bounded and may be lost: a restart forgets it, the world does not. It decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from app.core.clock import Clock
from app.core.errors import Conflict, NotFound
from app.core.messages import Change, Event
from app.modules.dialogue.messages import Explained, Said
from app.modules.dialogue.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityRemoved, EntityUpserted, Happened, SubjectErased, SubjectRestricted, WorldRestored
from app.world.gate.claims import Names
from app.world.gate.speech import clean_input
from app.world.scene import Line, News
from app.world.state import World

STALE_LINES_MAX = 12
"""Lines of one NPC, over all its dialogues, that it tries not to say again."""
SPEAKERS_MAX = 20_000
"""NPCs, and pairs of NPC and player, of whom something is kept."""
NEWSWORTHY = frozenset(
    {"killed", "died", "destroyed", "stole", "attacked", "crafted", "unlocked", "explored", "defended", "escorted"}
)

WorldKey = tuple[str, str]
K = TypeVar("K")
V = TypeVar("V")


class Told(NamedTuple):
    """A line of a dialogue, and everyone who heard it, its speaker included."""

    line: Line
    heard_by: frozenset[str]
    to: str = ""
    whisper: bool = False


@dataclass(slots=True)
class Dialogue:
    """An open conversation. `lines` are the last ones, `turns` counts all; `busy` is held while a line is spoken.

    `speaking` is the task that speaks, `cut_by` who has cut its line: empty for the game, None for nobody.
    """

    id: str
    tenant: str
    world: str
    npc: str
    participants: tuple[str, ...]
    location: str
    used_s: float
    lines: deque[Told]
    turns: int = 0
    told: int = 0
    """Lines so far, those that have left included."""
    kindness: float = 0.0
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Task[None] | None = None
    cut_by: str | None = None
    keyed: OrderedDict[str, tuple[bytes, Said]] = field(default_factory=OrderedDict)
    """The last replies to requests that had a key, with the digests of those."""

    @property
    def everyone(self) -> tuple[str, ...]:
        """Who takes part, the NPC first."""
        return (self.npc, *self.participants)

    @property
    def was_cut(self) -> bool:
        """Whether the last line that was begun was interrupted."""
        return self.cut_by is not None

    def interrupt(self, by: str) -> bool:
        """Cut the line that is being spoken; whether there was one."""
        if self.speaking is None or self.speaking.done():
            return False
        self.cut_by = by
        self.speaking.cancel()
        return True

    def tell(self, lines: Sequence[Told]) -> None:
        """Add lines; the oldest leave."""
        self.lines.extend(lines)
        self.told += len(lines)

    def knows(self, player: str) -> bool:
        """Whether a player takes part, or has heard any of it."""
        return player in self.participants or any(player in told.heard_by for told in self.lines)

    def heard(self, by: Sequence[str], secretly_by: Sequence[str] = ()) -> tuple[Line, ...]:
        """The lines that all of these have heard, oldest first; those that were whispered, `secretly_by` too."""
        return tuple(
            told.line
            for told in self.lines
            if told.heard_by.issuperset(by) and not (told.whisper and not told.heard_by.issuperset(secretly_by))
        )

    def replied(self, key: str, request: bytes) -> Said | None:
        """The reply to the request that had this key before; raises Conflict when that was another one."""
        first, reply = self.keyed.get(key, (request, None))
        if first != request:
            raise Conflict(f"the key {key!r} was used for another line", hint="use a new key for each line")
        return reply

    def keep_reply(self, key: str, request: bytes, reply: Said) -> None:
        """Keep a reply for when its request comes again, as many as lines."""
        self.keyed[key] = (request, reply)
        if len(self.keyed) > (self.lines.maxlen or 0):
            self.keyed.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Happening:
    game_s: float
    place: str
    who: tuple[str, ...]
    news: News


class Uttered(NamedTuple):
    """A line, and whether a model wrote any of it."""

    text: str
    ai_generated: bool


class Book:
    """The module's memory of the moment, for all tenants; every look-up names the tenant and world."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._dialogues: OrderedDict[str, Dialogue] = OrderedDict()
        self._stale: OrderedDict[tuple[str, str, str], deque[Uttered]] = OrderedDict()
        self.barks = 0
        """Barks so far, so that the same moment brings another."""
        self._barked: OrderedDict[tuple[str, str, str], deque[str]] = OrderedDict()
        self._fillers: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._offers: OrderedDict[tuple[str, str, str, str], dict[str, float]] = OrderedDict()
        self._explained: OrderedDict[tuple[str, str, str], Explained] = OrderedDict()
        self._news: dict[WorldKey, deque[_Happening]] = {}
        self._names: dict[WorldKey, Names] = {}

    def open(self, dialogue: Dialogue) -> None:
        """Keep a new dialogue, closing what was idle too long or, at the limit, idle longest."""
        self._expire()
        while len(self._dialogues) >= self._settings.dialogues_max:
            self._dialogues.popitem(last=False)
        self._dialogues[dialogue.id] = dialogue

    def dialogue(self, tenant: str, world: str, id: str) -> Dialogue:
        """An open dialogue of that world; raises NotFound."""
        self._expire()
        found = self._dialogues.get(id)
        if found is None or (found.tenant, found.world) != (tenant, world):
            raise NotFound(
                f"no open dialogue {id!r}", hint="it was closed or idle too long; open one with dialogue.open"
            )
        found.used_s = self._clock.monotonic_s()
        self._dialogues.move_to_end(id)
        return found

    def close(self, tenant: str, world: str, id: str) -> int:
        """Forget a dialogue and return its number of lines, 0 when it is gone already."""
        found = self._dialogues.get(id)
        if found is None or (found.tenant, found.world) != (tenant, world):
            return 0
        del self._dialogues[id]
        return found.turns

    def spoke(self, tenant: str, world: str, npc: str, text: str, *, ai_generated: bool) -> None:
        """Remember a line so that the NPC does not say it again soon."""
        lines = self._stale.setdefault((tenant, world, npc), deque(maxlen=STALE_LINES_MAX))
        lines.append(Uttered(text, ai_generated))
        self._stale.move_to_end((tenant, world, npc))
        _bound(self._stale, SPEAKERS_MAX)

    def stale(self, tenant: str, world: str, npc: str) -> tuple[str, ...]:
        """The texts of the NPC's last lines, oldest first."""
        return tuple(line.text for line in self.lately(tenant, world, npc))

    def lately(self, tenant: str, world: str, npc: str) -> tuple[Uttered, ...]:
        """The NPC's last lines, oldest first, in any dialogue."""
        return tuple(self._stale.get((tenant, world, npc), ()))

    def barked(self, tenant: str, world: str, *where: str) -> tuple[str, ...]:
        """The last barks of these, NPCs and places, oldest first."""
        return tuple(line for each in where for line in self._barked.get((tenant, world, each), ()))

    def bark(self, tenant: str, world: str, text: str, *where: str) -> None:
        """Remember a bark of these, so that it is not said again soon."""
        self.barks += 1
        for each in where:
            key = (tenant, world, each)
            self._barked.setdefault(key, deque(maxlen=self._settings.bark_lines_max)).append(text)
            self._barked.move_to_end(key)
        _bound(self._barked, SPEAKERS_MAX)
        _bound(self._barked, SPEAKERS_MAX)

    def filler(self, tenant: str, world: str, npc: str) -> str:
        """The NPC's last filler."""
        return self._fillers.get((tenant, world, npc), "")

    def filled(self, tenant: str, world: str, npc: str, text: str) -> None:
        """Remember a filler, so that it is not said twice in a row."""
        self._fillers[tenant, world, npc] = text
        self._fillers.move_to_end((tenant, world, npc))
        _bound(self._fillers, SPEAKERS_MAX)

    def offers(self, tenant: str, world: str, npc: str, player: str) -> dict[str, float]:
        """When the NPC last offered each action to the player, in game seconds; to be written to."""
        found = self._offers.setdefault((tenant, world, npc, player), {})
        self._offers.move_to_end((tenant, world, npc, player))
        _bound(self._offers, SPEAKERS_MAX)
        return found

    def explain(self, tenant: str, world: str, explained: Explained) -> None:
        self._explained[tenant, world, explained.explain_id] = explained
        _bound(self._explained, self._settings.explains_max)

    def explained(self, tenant: str, world: str, id: str) -> Explained | None:
        """What is behind a line; None when it has left."""
        return self._explained.get((tenant, world, id))

    def observe(self, world: World, event: Event) -> Sequence[Change]:
        """Take note of an event: what is worth talking about, and who is called what."""
        key = (world.tenant, world.id)
        change = event.change
        names = self._names.get(key)
        if isinstance(change, EntityUpserted) and names is not None:
            names.put(change.entity)
        elif isinstance(change, EntityRemoved) and names is not None:
            names.drop(change.id)
        elif isinstance(change, SubjectErased | SubjectRestricted):
            self._names.pop(key, None)
        elif isinstance(change, WorldRestored):
            self._begin_anew(key)
        elif isinstance(change, Happened) and change.verb in NEWSWORTHY:
            kept = self._news.setdefault(key, deque(maxlen=self._settings.news_max))
            kept.append(_happening(world, event.game_s, change))
        return ()

    def news(self, world: World, npc: Npc) -> list[News]:
        """What happened of late that `npc` would have heard of, newest first: to it, or where it is, lives or works."""
        since = world.state.game_s - self._settings.news_age_s
        haunts = {npc.location, npc.home, npc.work} - {""}
        return [
            each.news
            for each in reversed(self._news.get((world.tenant, world.id), ()))
            if each.game_s >= since and (npc.id in each.who or each.place in haunts)
        ]

    def names(self, world: World) -> Names:
        """The world's names, indexed when they are first asked for and kept up since."""
        key = (world.tenant, world.id)
        found = self._names.get(key)
        if found is None:
            found = self._names[key] = Names.of(world)
        return found

    def last_of(self, tenant: str, world: str, npc: str) -> Dialogue | None:
        """The dialogue in which an NPC spoke or was addressed last."""
        for dialogue in reversed(self._dialogues.values()):
            if (dialogue.tenant, dialogue.world) == (tenant, world) and npc in dialogue.everyone:
                return dialogue
        return None

    def held(self, tenant: str, world: str, player: str) -> dict[str, list[str]]:
        """The lines of every open dialogue that the player has said or heard."""
        found = [one for one in self._dialogues.values() if (one.tenant, one.world) == (tenant, world)]
        lines = [line.text for one in found for line in one.heard((player,))]
        return {"lines": lines}

    def _begin_anew(self, key: WorldKey) -> None:
        """Forget a world that was brought back to a save: what was said since was never said."""
        for id in [id for id, one in self._dialogues.items() if (one.tenant, one.world) == key]:
            del self._dialogues[id]
        for stale in [place for place in self._stale if place[:2] == key]:
            del self._stale[stale]
        for offered in [place for place in self._offers if place[:2] == key]:
            del self._offers[offered]
        self._news.pop(key, None)
        self._names.pop(key, None)

    def forget(self, tenant: str, world: str, player: str) -> None:
        """Let go of what the player said and heard, and of news of them."""
        key = (tenant, world)
        for id in [id for id, one in self._dialogues.items() if (one.tenant, one.world) == key and one.knows(player)]:
            del self._dialogues[id]
        for place in [place for place in self._offers if place[:2] == key and place[3] == player]:
            del self._offers[place]
        # A line may be to anybody and name the player, so none of the world's is kept.
        for stale in [place for place in self._stale if place[:2] == key]:
            del self._stale[stale]
        for barked in [place for place in self._barked if place[:2] == key]:
            del self._barked[barked]
        for explained in [place for place in self._explained if place[:2] == key]:
            del self._explained[explained]
        if key in self._news:
            kept = [each for each in self._news[key] if player not in each.who]
            self._news[key] = deque(kept, maxlen=self._settings.news_max)
        self._names.pop(key, None)

    def _expire(self) -> None:
        oldest_s = self._clock.monotonic_s() - self._settings.idle_s
        while self._dialogues:
            id, dialogue = next(iter(self._dialogues.items()))
            if dialogue.used_s >= oldest_s:
                return
            del self._dialogues[id]


def _happening(world: World, game_s: float, change: Happened) -> _Happening:
    place = change.location
    if not place:
        actor = world.state.npcs.get(change.actor) or world.state.players.get(change.actor)
        place = actor.location if actor is not None else ""
    news = News(
        verb=change.verb,
        actor=_name(world, change.actor),
        target=_name(world, change.target),
        item=_name(world, change.item),
        place=_name(world, place),
    )
    return _Happening(game_s, place, (change.actor, change.target), news)


def _name(world: World, id: str) -> str:
    entity = world.entity(id) if id else None
    return clean_input(entity.name or entity.id) if entity is not None else ""


def _bound(table: OrderedDict[K, V], most: int) -> None:
    while len(table) > most:
        table.popitem(last=False)

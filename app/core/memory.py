"""The port to what NPCs remember: what a module may ask of it, and what comes back.

It does not know how memories are kept, indexed or ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from app.core.messages import Event


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """What an NPC is reminded by: words, and who and what is at hand.

    `listener` is who will hear of it, a player or an NPC: what must not reach them is not recalled at all; empty
    recalls for the NPC's own thoughts. `participants`, `place` and `quests` are ids that weigh like words.
    """

    text: str
    listener: str = ""
    participants: tuple[str, ...] = ()
    place: str = ""
    quests: tuple[str, ...] = ()
    but_thread: str = ""
    """A dialogue whose own lines need no recalling, since they are still at hand."""
    most: int = 8


class Recollection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One memory of an NPC, as it was written down.

    `source` is `server_fact`, `witnessed`, `own_claim`, `derived`, or `told_by`, where `told_by` says by whom.
    `known_by` empty means that anybody may be told. `strength` in (0, 1] falls with every retelling.
    """

    id: str
    seq: int
    text: str
    source: str
    told_by: str = ""
    tellers: tuple[str, ...] = ()
    """Through whose mouths it came, the first to tell it first, `told_by` last."""
    speaker: str = ""
    participants: tuple[str, ...] = ()
    known_by: tuple[str, ...] = ()
    place: str = ""
    quest: str = ""
    topic: str = ""
    thread: str = ""
    game_s: float = 0.0
    wall_ms: int = 0
    importance: float = 0.0
    emotion: str = "neutral"
    strength: float = 1.0
    pinned: bool = False
    links: tuple[str, ...] = ()
    ai_generated: bool = False
    until_s: float | None = None
    """The game second from which on it is forgotten; None, never."""
    score: float = 0.0
    """How well it fits the cue; only comparable within one answer."""
    why: dict[str, float] = {}
    """The parts of the score, such as `words`, `vectors`, `recency`, `importance`."""


class Memory(Protocol):
    """What NPCs remember. Reads come from RAM once an NPC's memories are there.

    Both raise StoreDown when they must be read first and cannot be.
    """

    async def recall(self, tenant: str, world: str, npc: str, cue: Cue) -> tuple[Recollection, ...]:
        """The memories that fit best, best first; none that `cue.listener` must not learn of, and no pinned ones."""
        ...

    async def pinned(self, tenant: str, world: str, npc: str, listener: str) -> tuple[Recollection, ...]:
        """What the NPC must keep in mind whenever it speaks to `listener`: promises, standing orders; newest first."""
        ...

    def prepare(self, tenant: str, world: str, npcs: Sequence[str]) -> None:
        """Begin to read what these remember, for whoever asks soon; never waits, and ids of others are passed over."""
        ...


class Kept(Protocol):
    """Where memories are written down: the log, and for each holder the places in it."""

    async def of(self, tenant: str, world: str, holders: Sequence[str]) -> Sequence[Event]:
        """What these holders have ever noted and forgotten, in the order of the log; raises StoreDown."""
        ...

    async def newest(self, tenant: str, world: str, most: int) -> Sequence[Event]:
        """What anybody noted and forgot in the newest `most` events of the log, in order; raises StoreDown."""
        ...

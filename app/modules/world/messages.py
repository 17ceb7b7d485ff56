"""The messages of the world module."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from app.core.messages import Push, Reply, Request
from app.world.entities import AnyEntity, Fact, Id, Kind, Text
from app.world.events import Happened

Key = Annotated[str, msgspec.Meta(max_length=128)]


class Write(Request, frozen=True, kw_only=True):
    """A request that changes the world; sent again with the same `key`, it has one effect and one answer."""

    key: Key = ""


class Create(Request, frozen=True, kw_only=True):
    """Make a world; asking again for one that exists changes nothing."""

    op: ClassVar[str] = "world.create"


class Created(Reply, frozen=True, kw_only=True):
    """`created` is false when the world was already there; `seq` is its newest event."""

    world: str
    created: bool
    seq: int


class Upsert(Write, frozen=True, kw_only=True):
    """Put entities of any kind; each replaces the one with its id. `key` makes a retry harmless."""

    op: ClassVar[str] = "world.upsert"

    entities: Annotated[tuple[AnyEntity, ...], msgspec.Meta(min_length=1)]


class Upserted(Reply, frozen=True, kw_only=True):
    """`handles` gives each NPC the number that stands for it in binary frames."""

    seq: int
    handles: dict[str, int]


class Remove(Write, frozen=True, kw_only=True):
    """Take entities of one kind out of the world."""

    op: ClassVar[str] = "world.remove"

    kind: Kind
    ids: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1)]


class Assert(Write, frozen=True, kw_only=True):
    """State facts; the newest of a subject and predicate wins, older ones are kept."""

    op: ClassVar[str] = "world.assert"

    facts: Annotated[tuple[Fact, ...], msgspec.Meta(min_length=1)]


class Post(Write, frozen=True, kw_only=True):
    """Tell what happened; acknowledged after commit. `game_s` is the world's own clock in seconds."""

    op: ClassVar[str] = "world.event"

    events: Annotated[tuple[Happened, ...], msgspec.Meta(min_length=1)]
    game_s: float | None = None


class Confirm(Write, frozen=True, kw_only=True):
    """Say whether an offered proposal became an effect in the game."""

    op: ClassVar[str] = "world.confirm"

    proposal: Id
    accepted: bool
    reason: Text = ""


class Acknowledged(Reply, frozen=True, kw_only=True):
    """The changes are committed; `seq` is the newest event, `events` how many were written."""

    seq: int
    events: int


class Save(Write, frozen=True, kw_only=True):
    """Keep the world as it is now under a name, in the place of an earlier save of that name."""

    op: ClassVar[str] = "world.save"

    slot: Id


class Restore(Write, frozen=True, kw_only=True):
    """Make the world what it was when it was saved: everything told, said and remembered since is undone.

    The log keeps what happened, and money spent stays spent. The save stays and can be restored again.
    """

    op: ClassVar[str] = "world.restore"

    slot: Id


class Discard(Write, frozen=True, kw_only=True):
    """Let go of a save; one that is gone already is no error."""

    op: ClassVar[str] = "world.discard"

    slot: Id


class ListSaves(Request, frozen=True, kw_only=True):
    """Read which saves the world has."""

    op: ClassVar[str] = "world.saves"


class SaveNote(msgspec.Struct, frozen=True, kw_only=True):
    """One save: the event after which it was made, and the world's clock then."""

    slot: str
    seq: int
    game_s: float


class Saves(Reply, frozen=True, kw_only=True):
    """The saves, oldest first; `most` is how many a world may have."""

    saves: tuple[SaveNote, ...]
    most: int


class Report(Request, frozen=True, kw_only=True):
    """Where NPCs stand now; kept in RAM, not logged.

    `handles` is n little-endian uint32, `positions` n pairs of little-endian float32 in map cells;
    both are `bin` in msgpack and base64 in JSON.
    """

    op: ClassVar[str] = "world.report"

    handles: bytes
    positions: bytes
    game_s: float


class Reported(Reply, frozen=True, kw_only=True):
    """How many positions were taken."""

    npcs: int


class Get(Request, frozen=True, kw_only=True):
    """Read one entity with its facts and position."""

    op: ClassVar[str] = "world.get"

    id: Id


class Got(Reply, frozen=True, kw_only=True):
    """An entity as it is now; `position` in map cells, where the game has reported one."""

    entity: AnyEntity
    facts: tuple[Fact, ...]
    position: tuple[float, float] | None = None


class Describe(Request, frozen=True, kw_only=True):
    """Read the size and clock of a world."""

    op: ClassVar[str] = "world.describe"


class Described(Reply, frozen=True, kw_only=True):
    """Counts by kind, the world's clock, its newest event and its maps with their versions."""

    world: str
    seq: int
    game_s: float
    counts: dict[str, int]
    maps: dict[str, int]


class RestoredPushed(Push, frozen=True, kw_only=True):
    """The world was brought back to a save; whatever a client keeps of it is to be read again."""

    op: ClassVar[str] = "world.restored"

    slot: str
    seq: int


class ProposalPushed(Push, frozen=True, kw_only=True):
    """An NPC wants this; answer with world.confirm. `arguments` name existing entities."""

    op: ClassVar[str] = "world.proposal"

    id: str
    npc: str
    player: str
    action: str
    arguments: dict[str, str | float | bool]

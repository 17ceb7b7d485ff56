"""The changes a world can go through: the bodies of its events, as one tagged union."""

from __future__ import annotations

from typing import Literal

import msgspec

from app.core.messages import Change
from app.world.entities import AnyEntity, Fact, Id, Kind, Name, Obstacle, Squad, StoredMap, Text, Value


class EntityUpserted(Change, frozen=True, kw_only=True, tag="entity.upserted"):
    """An entity is now exactly this."""

    entity: AnyEntity


class EntityRemoved(Change, frozen=True, kw_only=True, tag="entity.removed"):
    """An entity is gone."""

    entity_kind: Kind
    id: Id


class FactAsserted(Change, frozen=True, kw_only=True, tag="fact.asserted"):
    """The game server vouches for a fact; it closes the interval of the one it replaces."""

    fact: Fact


class MapStored(Change, frozen=True, kw_only=True, tag="map.stored"):
    """A new version of a map, already validated."""

    map: StoredMap


class ObstaclesChanged(Change, frozen=True, kw_only=True, tag="obstacles.changed"):
    """On a map, obstacles stand as in `put` and those of `removed` are gone; `hit` walk a path that is now blocked."""

    map: Id
    put: tuple[Obstacle, ...] = ()
    removed: tuple[Id, ...] = ()
    hit: tuple[Id, ...] = ()


Verb = Literal[
    "moved", "took", "gave", "dropped", "traded", "killed", "died", "destroyed", "talked", "learned",
    "used", "crafted", "unlocked", "explored", "defended", "escorted", "trained", "stole", "attacked", "confirmed",
    "captured", "rescued",
]  # fmt: skip


class Happened(Change, frozen=True, kw_only=True, tag="happened"):
    """Something that the game server saw happen: `actor` did `verb` to `target`.

    `target`, `item` and `location` are entity ids and may be empty; `topic` is what was learned or talked about.
    """

    verb: Verb
    actor: Id
    target: str = ""
    item: str = ""
    location: str = ""
    topic: Name = ""
    quantity: float = 1.0
    details: dict[str, Value] = {}


class ProposalOffered(Change, frozen=True, kw_only=True, tag="proposal.offered"):
    """The gate let a proposal through; only the game can make it an effect."""

    id: Id
    npc: Id
    player: str
    action: Name
    arguments: dict[str, Value] = {}


class ProposalSettled(Change, frozen=True, kw_only=True, tag="proposal.settled"):
    """The game confirmed or refused an offered proposal."""

    id: Id
    accepted: bool
    reason: Text = ""


class RelationChanged(Change, frozen=True, kw_only=True, tag="relation.changed"):
    """How `npc` feels about `other` moved by `delta`; the sum is kept in [-1, 1]."""

    npc: Id
    other: Id
    delta: float


class QuestRecorded(Change, frozen=True, kw_only=True, omit_defaults=True, tag="quest.recorded"):
    """A quest in its present state, as the quests module wrote it; `body` is its own msgpack.

    `party` are those who share it, in order of joining; the body speaks of them by their place, so that it holds no
    other person's name than that of the player under whose key it is sealed.
    """

    id: Id
    state: Name
    body: bytes
    party: tuple[str, ...] = ()


Source = Literal["author", "quest", "planner", "schedule"]
"""Who gave a directive. What an author or a quest wants stands above what a planner or a schedule proposes."""


class IntentSet(Change, frozen=True, kw_only=True, tag="intent.set"):
    """The slow goal that an NPC follows until `until_s` in game seconds, and who gave it."""

    npc: Id
    intent: Name
    target: str = ""
    until_s: float | None = None
    source: Source = "author"


class ScheduleSet(Change, frozen=True, kw_only=True, tag="schedule.set"):
    """An NPC keeps the hours of this schedule; of its archetype's own again where the name is empty."""

    npc: Id
    schedule: Name = ""


class BrainAssigned(Change, frozen=True, kw_only=True, tag="brain.assigned"):
    """This brain leads an NPC, such as `tree:guard`; its archetype's own again where the name is empty."""

    npc: Id
    brain: Name = ""


class BoardWritten(Change, frozen=True, kw_only=True, tag="board.written"):
    """The game wrote these keys of the blackboard that an NPC's authored brain reads."""

    npc: Id
    values: dict[Name, float]


class SteeringSet(Change, frozen=True, kw_only=True, tag="steering.set"):
    """An author's rule over all brains is now this, in the behavior module's own msgpack; empty, it is gone."""

    name: Id
    rule: bytes = b""


class SquadSet(Change, frozen=True, kw_only=True, tag="squad.set"):
    """A squad is now exactly this."""

    squad: Squad


class SquadDisbanded(Change, frozen=True, kw_only=True, tag="squad.disbanded"):
    """A squad is no more; its members are on their own."""

    id: Id


class WordsUsed(Change, frozen=True, kw_only=True, tag="words.used"):
    """A model was paid for a line of `npc` to `player`, spoken or not; money in nano-dollars (1e-9 USD).

    `estimated` where the stream ended before the provider said what it took. `region` is where the words were sent,
    empty for an engine on this machine.
    """

    npc: str
    player: str
    engine: str
    model: str
    tokens_in: int
    tokens_out: int
    cached_tokens_in: int
    cost_nano_usd: int
    estimated: bool = False
    region: str = ""


MemorySource = Literal["server_fact", "witnessed", "told_by", "own_claim", "derived"]
"""How a memory came to its holder; `told_by` names who passed it on in a field of its own."""


class MemoryNoted(Change, frozen=True, kw_only=True, tag="memory.noted"):
    """`holders`, NPCs and factions, remember this from now on, word for word.

    `known_by` has the meaning that it has for facts: empty, anybody may be told; else only these. `thread` is the
    dialogue in which it was said, `links` are the memories that it was made from, `ttl_s` is in game seconds. Pinned
    memories are always at hand.
    """

    id: Id
    holders: tuple[Id, ...]
    source: MemorySource
    text: Text
    told_by: str = ""
    tellers: tuple[str, ...] = ()
    """Through whose mouths it came, the first to tell it first, `told_by` last."""
    speaker: str = ""
    participants: tuple[str, ...] = ()
    known_by: tuple[str, ...] = ()
    place: str = ""
    quest: str = ""
    topic: Name = ""
    thread: str = ""
    importance: float = 0.3
    emotion: Name = "neutral"
    strength: float = 1.0
    ttl_s: float | None = None
    pinned: bool = False
    links: tuple[Id, ...] = ()
    ai_generated: bool = False


class MemoryForgotten(Change, frozen=True, kw_only=True, tag="memory.forgotten"):
    """`holder` does not remember these any more."""

    holder: Id
    ids: tuple[Id, ...]


class WorldSaved(Change, frozen=True, kw_only=True, tag="world.saved"):
    """The world as it is now is kept under this name."""

    slot: Id


class WorldRestored(Change, frozen=True, kw_only=True, tag="world.restored"):
    """The world is again what it was when it was saved under this name."""

    slot: Id


class SaveDiscarded(Change, frozen=True, kw_only=True, tag="save.discarded"):
    """The save of this name is gone."""

    slot: Id


class StoryMoved(Change, frozen=True, kw_only=True, tag="story.moved"):
    """Where `player` stands in the authored story of `npc`, in the dialogue module's own msgpack; empty, nowhere."""

    npc: Id
    player: Id
    story: Name
    run: bytes = b""


class SubjectErased(Change, frozen=True, kw_only=True, tag="subject.erased"):
    """A person is forgotten: content goes, and what is left of `subject` is of `alias`, which nobody can trace back.

    `left` says what stays under the alias: nothing but totals, or the player's numbers and relations too. `quests`
    are the person's own.
    """

    subject: Id
    alias: Id
    left: Literal["totals", "numbers"] = "totals"
    quests: tuple[Id, ...] = ()


class SubjectRestricted(Change, frozen=True, kw_only=True, tag="subject.restricted"):
    """What is known of a person is kept and not used (GDPR art. 18), until it may be again."""

    subject: Id
    restricted: bool


AnyChange = (
    EntityUpserted | EntityRemoved | FactAsserted | MapStored | ObstaclesChanged | Happened | ProposalOffered
    | ProposalSettled | RelationChanged | QuestRecorded | IntentSet | ScheduleSet | BrainAssigned
    | BoardWritten | SteeringSet | SquadSet | SquadDisbanded | WordsUsed | MemoryNoted | MemoryForgotten | WorldSaved
    | WorldRestored | SaveDiscarded | StoryMoved | SubjectErased | SubjectRestricted
)  # fmt: skip

encoder = msgspec.msgpack.Encoder()
decoder: msgspec.msgpack.Decoder[AnyChange] = msgspec.msgpack.Decoder(AnyChange)

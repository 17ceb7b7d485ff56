"""The messages of the content module: what to make, what was made, and what is wrong with what others made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Message, ModelText, Reply, Request
from app.world.entities import Fact, Id, Item, Name, Text, Value

Seed = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Key = Annotated[str, msgspec.Meta(max_length=128)]
OptionalId = Annotated[str, msgspec.Meta(max_length=128)]
FactKey = Annotated[str, msgspec.Meta(min_length=3, max_length=260)]
"""`SUBJECT PREDICATE`, with one space between."""
Ids = Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)]
Words = Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]
FactKeys = Annotated[tuple[FactKey, ...], msgspec.Meta(max_length=32)]
Level = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Many = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Mood = Literal["", "calm", "cheerful", "grim", "angry", "afraid", "weary"]
Relation = Literal["", "friend", "stranger", "foe"]


class Items(Message, frozen=True, kw_only=True, tag_field="what", tag="items"):
    """Items of a level. `kinds` are kinds or groups such as `weapon`; without any, and without a rarity, chance draws.

    `opens` are places, each of which gets a key. Legendary items are unique in their world.
    """

    level: Level = 1
    count: Many = 1
    kinds: Words = ()
    rarity: Name = ""
    opens: Ids = ()
    holder: OptionalId = ""
    """Who or which place has them once they are kept."""
    language: Name = "en"


class Lore(Message, frozen=True, kw_only=True, tag_field="what", tag="lore"):
    """Facts about entities, founded where canon is silent, and the text that tells them."""

    subjects: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=64)]
    known_by: Ids = ()
    """Who knows of it; everybody where it is empty. What is a secret by its nature has its own circle."""
    language: Name = "en"
    words: bool = False
    """Whether a model may word it, where the server has one; what it writes is checked like the grammar's."""


class Barks(Message, frozen=True, kw_only=True, tag_field="what", tag="barks"):
    """Short lines by event, mood, relation and fact: `count` of them for each combination that is named.

    With `npc` the lines are in that NPC's language and of its trade, and can be kept in its persona, where
    `dialogue.bark` finds them. `events` are those of world.event, `weather`, `idle`, `combat` or `player_seen`.
    """

    npc: OptionalId = ""
    archetype: Name = ""
    events: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=64)]
    moods: Annotated[tuple[Mood, ...], msgspec.Meta(max_length=8)] = ()
    relations: Annotated[tuple[Relation, ...], msgspec.Meta(max_length=4)] = ()
    facts: FactKeys = ()
    count: Many = 8
    language: Name = ""


class Generate(Request, frozen=True, kw_only=True):
    """Make something for a world. The same seed in the same world gives the same.

    Nothing is changed unless `commit` is set; then all of it is kept at once, and `key` makes a retry harmless.
    """

    op: ClassVar[str] = "content.generate"

    make: Items | Lore | Barks
    seed: Seed | None = None
    """Left out, it is drawn from the world and its newest event."""
    commit: bool = False
    key: Key = ""


class ItemNote(Message, frozen=True, kw_only=True):
    """What an item's power is made of; names by language."""

    id: str
    power: int
    budget_min: int
    budget_max: int
    names: dict[str, str]
    affixes: tuple[str, ...] = ()


class Sentence(Message, frozen=True, kw_only=True):
    """One sentence, and the keys of the facts that it tells."""

    text: ModelText
    cites: tuple[str, ...]


class LoreText(Message, frozen=True, kw_only=True):
    """An entry of lore: `id` is the subject under which the world keeps it, `keys` are the words that call it."""

    id: str
    about: str
    keys: tuple[str, ...]
    known_by: tuple[str, ...]
    sentences: tuple[Sentence, ...]


class LoreFact(Message, frozen=True, kw_only=True):
    """A fact that a text cites: `canon` was asserted before, `derived` is said by an entity, `founded` is new."""

    key: str
    source: Literal["canon", "derived", "founded"]
    fact: Fact


class BarkLines(Message, frozen=True, kw_only=True):
    """The lines for one combination; `intent` is their place among a persona's lines."""

    intent: str
    event: str
    mood: str = ""
    relation: str = ""
    fact: str = ""
    lines: tuple[str, ...] = ()


class Generated(Reply, frozen=True, kw_only=True):
    """What was made. `short` is how many of what was asked for there was no more that differs.

    `seq` is the last event of what was kept, or the world's newest where nothing was.
    """

    seed: int
    seq: int
    committed: bool
    ai_generated: bool
    """Whether a model wrote any of the sentences."""
    rung: str = "grammar"
    short: int = 0
    items: tuple[Item, ...] = ()
    notes: tuple[ItemNote, ...] = ()
    lore: tuple[LoreText, ...] = ()
    facts: tuple[LoreFact, ...] = ()
    barks: tuple[BarkLines, ...] = ()


class Claim(Message, frozen=True, kw_only=True):
    """A hand-written sentence of lore, and the facts that it says it tells."""

    text: Text
    cites: FactKeys = ()


class ItemDraft(Message, frozen=True, kw_only=True):
    """A hand-made item, as world.upsert takes one; `attributes` hold its level, rarity, affixes and stats."""

    id: Id
    name: Name = ""
    item_kind: Name = ""
    value: float = 0.0
    tags: Words = ()
    attributes: Annotated[dict[Name, Value], msgspec.Meta(max_length=64)] = {}


class FactDraft(Message, frozen=True, kw_only=True):
    """A hand-made fact, as world.assert takes one."""

    subject: Id
    predicate: Id
    value: Value
    known_by: Ids = ()


class Check(Request, frozen=True, kw_only=True):
    """Judge hand-made items against their budget, facts against canon, and sentences against the facts they cite."""

    op: ClassVar[str] = "content.check"

    items: Annotated[tuple[ItemDraft, ...], msgspec.Meta(max_length=1_000)] = ()
    facts: Annotated[tuple[FactDraft, ...], msgspec.Meta(max_length=1_000)] = ()
    sentences: Annotated[tuple[Claim, ...], msgspec.Meta(max_length=1_000)] = ()
    language: Name = "en"


class Finding(Message, frozen=True, kw_only=True):
    """One thing to mend or to look at; `of` is an item's id, a fact's key, or the number of a sentence."""

    of: str
    level: Literal["error", "warning"]
    rule: str
    reason: str


class Checked(Reply, frozen=True, kw_only=True):
    """`ok` where nothing is an error."""

    ok: bool
    findings: tuple[Finding, ...]

"""The messages of the characters module: who is made, what is known of them, and what contradicts the world."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Message, ModelText, Reply, Request
from app.world.entities import Fact, Item, Name, Npc

PEOPLE_MAX = 16
FACTS_MAX = 256
Seed = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Key = Annotated[str, msgspec.Meta(max_length=128)]
OptionalId = Annotated[str, msgspec.Meta(max_length=128)]
Count = Annotated[int, msgspec.Meta(ge=1, le=PEOPLE_MAX)]
Level = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Plan = Literal["person", "household", "guard_post", "tavern", "market"]
"""Who is made together: single people, a family under one roof, a watch with its captain, the people of a tavern with
its keeper, traders of a market and their rivals."""

Language = Literal["en", "de"]

Rule = Literal[
    "id_taken", "name_missing", "name_taken", "name_alike", "age_range", "parent_age", "parent_same",
    "kin_marriage", "spouse_taken", "spouse_age", "tie_missing", "tie_self", "tie_one_sided", "tie_dead",
    "tie_hostile", "captain_other", "faction_missing", "place_missing", "place_closed", "home_full",
    "place_unreachable", "place_hostile", "child_works",
    "fact_conflict", "fact_untrue", "fact_unknowable", "post_taken", "level_range", "share_range", "item_taken",
]  # fmt: skip
"""The closed set of constraints; docs/reference/characters.md says what each means."""


class Hours(Message, frozen=True, kw_only=True):
    """A block of a day, over midnight where `until_h` is not after `from_h`."""

    from_h: float
    until_h: float
    doing: Literal["work", "eat", "talk", "rest", "guard", "patrol", "play"]
    place: str = ""


class Tie(Message, frozen=True, kw_only=True):
    """What somebody is to the character: `spouse`, `mother`, `child`, `rival`... `other` is an NPC's id."""

    kind: str
    other: str


class Character(Message, frozen=True, kw_only=True):
    """One person as the world has it, or would have it.

    `npc.attributes` hold the needs (`need_<motive>`) and the Big Five (`openness` ... `neuroticism`) in [0, 1], `age`
    in years and `gender`. `facts` are about the character, `knows` are facts of others that it is let into.
    """

    npc: Npc
    facts: tuple[Fact, ...]
    knows: tuple[Fact, ...] = ()
    items: tuple[Item, ...] = ()
    ties: tuple[Tie, ...] = ()
    schedule: str = ""
    """A schedule of the behavior module; it is set where the profile's `schedules` name it."""
    hours: tuple[Hours, ...] = ()
    summary: ModelText = ""
    """The persona's own, which a model has worded where the NPC's attribute `ai_generated` says so."""


class Generate(Request, frozen=True, kw_only=True):
    """Make people who contradict nothing that the world knows, and put them into it.

    The same seed in the same world gives the same people. `place` is where they live (person, household) or work (the
    others); left out, a fitting place is drawn. With `commit` false nothing is written. `key` makes a retry harmless.
    """

    op: ClassVar[str] = "characters.generate"

    plan: Plan = "person"
    count: Count = 1
    place: OptionalId = ""
    faction: OptionalId = ""
    archetype: Name = ""
    """One of the shipped trades, for plan `person`; empty draws what the places near have work for."""
    culture: Name = ""
    """A name grammar: `vale`, `tal`, `fjord`, `harbor`; empty draws by the language."""
    language: Language = "en"
    level: Level = 0
    """The middle of the level band; 0 means the trade's own."""
    seed: Seed | None = None
    words: bool = False
    """Whether a model may word the summaries, where the server has one; what it says is held against the facts."""
    commit: bool = True
    key: Key = ""


class Cast(Reply, frozen=True, kw_only=True):
    """The people; `seq` is the world's newest event, `committed` whether they are in the world."""

    characters: tuple[Character, ...]
    committed: bool
    seq: int
    tries: int = 1
    """Casts that were drawn until one contradicted nothing; 0 where the request was sent before."""
    ai_generated: bool
    """Whether a model wrote any of the summaries."""


class Check(Request, frozen=True, kw_only=True):
    """Hold a hand-written character and its facts against what the world knows; nothing is written."""

    op: ClassVar[str] = "characters.check"

    npc: Npc
    facts: Annotated[tuple[Fact, ...], msgspec.Meta(max_length=FACTS_MAX)] = ()


class Finding(Message, frozen=True, kw_only=True):
    """One contradiction: where it stands, the value there, what it is against, and what would mend it."""

    rule: Rule
    subject: str
    field: str
    """Such as `home`, `attributes.age`, `fact spouse`."""
    value: str
    against: str = ""
    """The entity or value in the world that says otherwise."""
    text: str
    mend: str


class Checked(Reply, frozen=True, kw_only=True):
    """`sound` where nothing contradicts."""

    sound: bool
    findings: tuple[Finding, ...] = ()
    seq: int

"""Every limit of the dialogue module, with its unit and default."""

from __future__ import annotations

import msgspec

from app.world.moderation import DEFAULT_RATING


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read from the profile's `[modules.dialogue]`."""

    dialogues_max: int = 10_000
    """Open dialogues in this process; past it the one that was idle longest closes."""
    idle_s: float = 600.0
    """Seconds without a line after which a dialogue closes by itself."""
    turns_kept_max: int = 24
    """Lines of one dialogue kept in RAM."""
    explains_max: int = 2_000
    """Explained lines kept in RAM; the oldest leave first."""
    say_deadline_ms: int = 10_000
    """Time for a line when the client names no deadline."""
    first_token_ms: float = 750.0
    """How long the words rung may stay silent before the authored line comes."""
    reserve_ms: float = 120.0
    """Time that the words rung leaves for the rungs below it."""
    journal_ms: float = 400.0
    """Time for the commit of a line's effects; past it the line goes out without them."""
    failures_max: int = 3
    """Failures in a row after which a rung rests."""
    rest_ms: float = 4_000.0
    """How long a rung rests."""
    context_tokens_max: int = 3_000
    """Tokens of compiled context on the words rung, estimated; about twelve kilobytes of English."""
    output_tokens_max: int = 220
    """Tokens that a model may write for one line, its acts included."""
    line_characters_max: int = 900
    """Characters of one spoken line; whole sentences beyond it are cut."""
    sentence_characters_max: int = 280
    """Characters held back while a sentence has no end; then it is sent up to its last space."""
    proposals_max: int = 2
    """Acts that one line may propose."""
    proposal_cooldown_s: float = 60.0
    """Game seconds before an NPC offers the same act to the same player again."""
    talk_relation_max: float = 0.2
    """Kind words alone never lift a relation above this; deeds, told by the game, do."""
    news_max: int = 64
    """Recent happenings of a world kept in RAM as things to talk about."""
    news_age_s: float = 172_800.0
    """Game seconds after which a happening is no news any more."""
    day_s: float = 86_400.0
    """Game seconds of one day, where the game asserts no `hour` of `world`."""
    day_start_share: float = 1.0 / 3.0
    """Share of the day that has passed at game second 0; a third is eight in the morning."""
    rating: str = DEFAULT_RATING
    """The age rating that what is said is held to, such as `pegi12` or `esrb_t`."""
    reports_open_max: int = 10_000
    """Players' reports of a tenant that may wait to be settled."""
    walk_cells: float = 60.0
    """Map cells that an NPC calls a short walk; three times as many are a long one."""

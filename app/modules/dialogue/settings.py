"""Every limit of the dialogue module, with its unit and default."""

from __future__ import annotations

import msgspec

from app.modules.dialogue.stories.limits import Limits
from app.world.moderation import DEFAULT_RATING


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read from the profile's `[modules.dialogue]`."""

    dialogues_max: int = 10_000
    """Open dialogues in this process; past it the one that was idle longest closes."""
    idle_s: float = 600.0
    """Seconds without a line after which a dialogue closes by itself."""
    turns_kept_max: int = 32
    """Lines of one dialogue kept in RAM."""
    participants_max: int = 16
    """Players and NPCs in one dialogue, beside the NPC that it was opened with."""
    earshot_cells: float = 8.0
    """Map cells within which an NPC that takes no part hears what is said; 0 lets only those hear who take part."""
    players_overhear: bool = False
    """Whether players at the place hear talk in which they take no part; a game that shows it to them says yes."""
    whisper_cells: float = 0.0
    """Map cells within which a whisper is heard by others."""
    hearers_max: int = 64
    """Who may hear one line: those who take part first, then players, then the nearest NPCs."""
    npc_lines_row_max: int = 2
    """Lines in a row after which NPCs leave the word to the players."""
    explains_max: int = 2_000
    """Explained lines kept in RAM; the oldest leave first."""
    records_queue_max: int = 4_096
    """Records behind lines that wait to be written; past it the oldest is dropped."""
    records_ms: int = 250
    """How long records are gathered before they are written together."""
    say_deadline_ms: int = 10_000
    """Time for a line when the client names no deadline."""
    filler_after_ms: float = 600.0
    """How long a player waits for the words rung before a filler bridges the silence."""
    first_token_ms: float = 3_000.0
    """How long the words rung may stay silent before the authored line comes; never past deadline and reserve."""
    recall_ms: float = 60.0
    """Time to recall what the NPC remembers; past it the line is spoken without memories."""
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
    context_tokens: dict[str, int] = {}
    """The same for engines by name that take less or more, such as a small local model."""
    lore_max: int = 4
    """Entries of background in one context."""
    lore_characters_max: int = 1_200
    """Characters of those together."""
    output_tokens_max: int = 220
    """Tokens that a model may write for one line, its acts included."""
    line_characters_max: int = 900
    """Characters of one spoken line; whole sentences beyond it are cut."""
    sentence_characters_max: int = 280
    """Characters held back while a sentence has no end; then it is sent up to its last space."""
    bark_lines_max: int = 8
    """Barks of an NPC, and of a place, that are not said again there as long as there are others."""
    npc_lines_hour_max: int = 240
    """Lines of NPCs to NPCs that a model may write in a world in one game hour; past it they are authored."""
    npc_tokens_day_max: int = 200_000
    """Tokens, in and out, of the same in one UTC day."""
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
    """The age rating that every line is held to, NPCs' and players', such as `pegi12` or `esrb_t`."""
    reports_open_max: int = 10_000
    """Players' reports of a tenant that may wait to be settled."""
    walk_cells: float = 60.0
    """Map cells that an NPC calls a short walk; three times as many are a long one."""
    content_folder: str = ""
    """A studio's folder with `stories/*.ink` and `stories/*.yarn`; empty, there are none."""
    stories: Limits = Limits()

"""Limits of the memory module."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.modules.memory.index.settings import Ranking

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class GossipSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What NPCs tell each other when they talk."""

    enabled: bool = True
    weight_min: Share = 0.42
    """Importance times strength below which nothing is passed on."""
    told_max: int = 2
    """Pieces of gossip that one tells the other in one exchange."""
    hops_max: int = 3
    """Mouths that a rumor goes through."""
    decay: Share = 0.7
    """What is left of a memory's strength with each retelling."""
    recent_max: int = 16
    """Pieces of gossip that one NPC has at the tip of its tongue."""
    heard_max: int = 256
    """Memories that one NPC is known to have, so that they are not told it again."""
    newest_max: int = 2_000
    """Events at the end of a log from which NPCs know what to tell, as long as they were not asked; 0 reads none."""
    npcs_max: int = 20_000
    """NPCs whose gossip is at hand; whoever was silent longest is let go."""


class ReflectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Background jobs that draw conclusions from memories."""

    jobs_max: int = 256
    """Jobs that are remembered; those that are over go first."""
    running_max: int = 4
    """Jobs that run at once; others wait."""
    tokens_max: int = 1_500
    """Tokens of one job, in and out, where the request names no fewer."""
    output_tokens_max: int = 200
    deadline_ms: int = 60_000
    memories_max: int = 64
    """Memories that one job looks at, those that weigh most."""
    persons_max: int = 8
    """Persons that one job comes to a conclusion about."""
    importance: Share = 0.6
    """What a conclusion weighs."""


class EmbeddingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the engine table `embedder`, where it names a network, gives memories and cues their vectors."""

    cue_ms: int = 30
    """How long a cue's vector is waited for; without it memories are ranked by words alone."""
    batch_ms: int = 10
    """About how long a run over memories takes, since a cue waits behind it."""
    batch_rows_max: int = 16
    """Memories of one run."""
    tokens_max: Annotated[int, msgspec.Meta(ge=2, le=8_192)] = 128
    """Tokens of a text that are read; no more than the network was made for."""
    retry_ms: int = 5_000
    """How long a run over memories may take in all, and how long it rests after a failure."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much NPCs remember, and how long messages may take."""

    write_ms: int = 5_000
    """Deadline of a write where the client gives none."""
    read_ms: int = 2_000
    """Deadline of a read where the client gives none; the first one of an NPC reads the database."""
    minds_max: int = 1_000
    """NPCs whose memories are in RAM; whoever was asked last longest ago is let go."""
    memories_max: int = 300_000
    """Memories of all of them together."""
    reading_max: int = 2
    """NPCs whose memories are read at the same time; more wait."""
    waiting_max: int = 64
    """NPCs that are being read or wait, from which on none is read before it is asked."""
    mind_memories_max: int = 20_000
    """Memories of one NPC in RAM; the log has them all."""
    half_life_days: float = 30.0
    """Game days after which a memory weighs half, where one must go."""
    pinned_max: int = 32
    """Pinned memories of one NPC."""
    recalled_max: int = 100
    """Memories in one answer."""
    day_s: float = 86_400.0
    """A game day in game seconds."""
    ranking: Ranking = Ranking()
    gossip: GossipSettings = GossipSettings()
    reflection: ReflectionSettings = ReflectionSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()

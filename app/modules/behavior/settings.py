"""The limits of the behavior module, with their units."""

from __future__ import annotations

import msgspec


class Recording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and how much play is kept in files, to be replayed and learned from."""

    enabled: bool = False
    """Whether anything is recorded; behavior.feedback is refused while not."""
    folder: str = "recordings"
    """Where the files go, relative to the data folder."""
    npc_share: float = 0.1
    """Of all NPCs, which are recorded; an NPC is drawn for a whole episode, so that its story has no holes."""
    episode_ticks_max: int = 4_096
    """Ticks for which the same NPCs are recorded; then others are drawn."""
    world_bytes_max: int = 1_073_741_824
    """Bytes of one world's files; the oldest are dropped."""
    tenant_bytes_max: int = 10_737_418_240
    """Bytes of all files of a tenant; the oldest are dropped."""
    segment_bytes_max: int = 67_108_864
    """Bytes of one file."""
    queue_bytes_max: int = 67_108_864
    """Bytes that wait for the disk; ticks beyond are not recorded, and counted."""
    keys_max: int = 8_192
    """Idempotency keys of behavior.feedback remembered for each world, newest first."""
    worlds_max: int = 1_024
    """Worlds whose place in their files is kept in memory; the others begin a new file."""
    rewards_max: int = 65_536
    """NPCs in one behavior.feedback."""
    reward_size_max: float = 1_000_000.0
    """The largest reward, and the smallest below zero, that is accepted."""
    errors_max: int = 64
    """Rows whose faults one behavior.feedback lists; the rest is counted."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every number that an operator may change."""

    deadline_ms: int = 50
    """Milliseconds for a tick when the client names no deadline."""
    explain_deadline_ms: int = 1_000
    """Milliseconds for an explanation when the client names no deadline."""
    npcs_max: int = 16_384
    """NPCs in one behavior.decide."""
    policy_reserve_ms: float = 8.0
    """Milliseconds of the deadline that the policy leaves for the rules below it."""
    policy_failures_max: int = 3
    """Failures in a row after which the policy rests."""
    policy_rest_ms: float = 5_000.0
    """Milliseconds that the policy rests after failing repeatedly."""
    taste_share: float = 0.05
    """Size of the seeded preference that keeps NPCs in the same situation from acting as one; 0 = none."""
    taste_ticks_max: int = 64
    """Ticks for which an NPC keeps the same seeded preference."""
    recent_rows_max: int = 32_768
    """Decisions kept per world for behavior.explain."""
    recent_worlds_max: int = 256
    """Worlds whose decisions are kept for behavior.explain."""
    reasons_max: int = 8
    """Reasons that behavior.explain lists."""
    recording: Recording = Recording()

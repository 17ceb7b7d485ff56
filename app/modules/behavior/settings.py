"""The limits of the behavior module, with their units."""

from __future__ import annotations

from typing import Annotated

import msgspec


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
    content_folder: str = ""
    """A studio's own files (`schemas/`, `utility/`), relative to the working folder; "" = none."""
    candidates_max: Annotated[int, msgspec.Meta(ge=1, le=254)] = 64
    """Candidates of one NPC in one behavior.decide."""
    errors_max: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 256
    """NPCs whose errors a reply puts into words; the rest are counted."""
    tipping_rows_max: Annotated[int, msgspec.Meta(ge=64, le=65_536)] = 1_024
    """Observations that behavior.explain tries in one step of its search for what would have changed a decision."""

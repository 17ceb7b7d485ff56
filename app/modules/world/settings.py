"""Limits of the world module."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one message may carry and one world may hold."""

    changes_max: int = 5_000
    """Entities, facts or events in one message."""
    list_items_max: int = 256
    """Items in one list or map of an entity, a fact or an event."""
    worlds_max: int = 64
    """Worlds of one tenant."""
    entities_max: int = 200_000
    """Entities of all kinds in one world."""
    saves_max: int = 8
    """Saves of one world; each is kept in RAM and in every checkpoint."""
    write_ms: int = 5_000
    """Deadline of a write where the client gives none."""
    read_ms: int = 1_000
    """Deadline of a read where the client gives none."""

"""Every limit of the characters module, with its unit last."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults suit a village of a few hundred people."""

    deadline_ms: int = 2_000
    """Time for a request that names none."""

    words_ms: int = 8_000
    """Time for one summary that a model words; after it the authored one stands."""

    tries_max: int = 24
    """Casts drawn for one request before it is refused with the contradiction that stood in the way."""

    name_tries_max: int = 96
    """Names drawn for one person."""

    name_edits_min: int = 2
    """Letters in which the first names of two living people differ at least, so that nobody takes one for the other."""

    npcs_max: int = 20_000
    """NPCs of a world beyond which nobody is added."""

    residents_max: int = 8
    """People who live in a place that does not say for how many it has `beds`."""

    level_max: int = 60
    """Highest level that a character may have."""

    hostile_relation_max: float = -0.3
    """A relation between factions at or below this makes their people enemies, in [-1, 1]."""

    knows_max: int = 3
    """Private facts of others that a new character is let into."""

    check_bytes_max: int = 65_536
    """Bytes of JSON of a hand-written character and its facts."""

    summary_tokens_max: int = 160
    """Longest summary that a model may write."""

    summary_chars_max: int = 600
    """Characters of a model's summary; what is longer is not used."""

    schedules: tuple[str, ...] = ("villager", "merchant", "day watch", "night watch")
    """Schedules of the behavior module that a new character may be given; any other is only proposed in the reply."""

"""Every weight of the ranking, with its unit where it has one and its default."""

from __future__ import annotations

import msgspec


class Ranking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How memories are ranked; the defaults were tuned on generated conversations (docs/decisions/0040)."""

    saturation: float = 0.9
    """BM25's k1: how soon more of the same word says nothing new."""
    length_share: float = 0.5
    """BM25's b: how much a long memory's words count less; 0 not at all, 1 in full."""
    before: tuple[float, ...] = (0.5, 0.25)
    """The share with which the words one and two memories earlier in the same thread count."""
    after: tuple[float, ...] = (0.4, 0.2)
    """The same for those that follow."""
    speaker_share: float = 0.6
    """How much more a memory counts whose speaker the cue names, and that share of its own score."""
    name_share: float = 0.3
    """How much the name of somebody who speaks counts inside a text, where it most often is an address."""
    id_weight: float = 1.5
    """How much an id at hand, of a place, a person or a quest, counts beside a word."""
    recency_share: float = 0.05
    """The most that freshness adds to a score, as a share of it."""
    half_life_days: float = 14.0
    """Game days after which freshness has halved."""
    importance_share: float = 0.05
    """The most that importance adds to a score, as a share of it."""

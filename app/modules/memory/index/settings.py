"""Every weight of the ranking, with its unit where it has one and its default."""

from __future__ import annotations

import msgspec


class Ranking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How memories are ranked; docs/decisions/0040 says how the defaults were found. A share of 0 turns a part off."""

    saturation: float = 0.9
    """BM25's k1: how soon more of the same word says nothing new."""
    length_share: float = 0.3
    """BM25's b: how much a long memory's words count less; 0 not at all, 1 in full."""
    before: tuple[float, ...] = (0.45, 0.2)
    """The share with which the words one and two memories earlier in the same thread count."""
    after: tuple[float, ...] = (0.35, 0.15)
    """The same for those that follow."""
    speaker_weight: float = 1.0
    """What a memory counts by itself, in words, whose speaker the cue names."""
    speaker_share: float = 1.0
    """How much more such a memory counts, as a share of its score."""
    name_share: float = 0.15
    """How much the name of somebody who speaks counts inside a text, where it most often is an address."""
    id_weight: float = 1.5
    """How much an id at hand, of a place, a person or a quest, counts beside a word."""
    date_weight: float = 0.6
    """How much a memory from the days that a cue names counts beside a word."""
    date_lag_days: float = 7.0
    """Game days after a named day in which people still talk of it."""
    calendar_start: str = ""
    """The date of game second 0, as in 1970-01-01; empty where the world has no such calendar."""
    first_person_share: float = 0.2
    """How much more a memory counts in which the speaker tells of himself."""
    question_share: float = 0.15
    """How much less a memory counts that asks."""
    answer_share: float = 0.15
    """How much more a memory counts that has a time where the cue asks when, a number where it asks how many."""
    kin_share: float = 0.7
    """How much a word of like meaning counts at most beside the word itself."""
    kin_likeness_min: float = 0.35
    """The cosine from which on words are of like meaning."""
    kin_max: int = 60
    """Words of like meaning looked up for each word of a cue."""
    meaning_weight: float = 4.0
    """What likeness of meaning as a whole counts, at cosine 1, beside words."""
    meaning_neighbor_share: float = 0.3
    """The share with which the meaning of the memories before and after counts."""
    weighed_rows_max: int = 1_024
    """Memories weighed by meaning, freshness and importance, those that fit best by words; all if there are no more."""
    views_max: int = 4
    """Listeners for whom it is kept which memories they may be told."""
    recency_share: float = 0.05
    """The most that freshness adds to a score, as a share of it."""
    half_life_days: float = 14.0
    """Game days after which freshness has halved."""
    importance_share: float = 0.05
    """The most that importance adds to a score, as a share of it."""
    fused_constant: float = 60.0
    """Of reciprocal rank fusion, where memories are embedded: the larger, the less the first ranks count."""
    fused_max: int = 100
    """Memories of each of the two rankings that are fused."""
    likeness_min: float = 0.3
    """The cosine of an embedded memory and cue below which they have nothing to do with each other."""

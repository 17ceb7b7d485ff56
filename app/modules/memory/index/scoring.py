"""How well each memory of a view fits a cue: words, likeness of meaning, who speaks, and what the cue asks for.

It knows terms, rows and numbers; it decides nothing about who may be told, and holds nothing between two cues.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from app.modules.memory.index.columns import F32, F64, I32, Columns, Postings
from app.modules.memory.index.cues import Marks, Span
from app.modules.memory.index.settings import Ranking
from app.modules.memory.index.vectors import Words
from app.modules.memory.index.views import View

_CALM = 0.3
"""Added to a vector's length, so that a text of hardly any meaning is like nothing."""


class Scores:
    """The scores (n,) of one view for one cue, part by part."""

    def __init__(self, seen: View, postings: Postings, columns: Columns, ranking: Ranking) -> None:
        self._seen = seen
        self._postings = postings
        self._columns = columns
        self._ranking = ranking
        length_share = np.float32(ranking.length_share)
        self._norm: F32 = np.float32(ranking.saturation) * (1 - length_share + length_share * seen.lengths)

    def _rarity(self, found: int) -> float:
        total = self._seen.rows.shape[0]
        return float(np.log(1.0 + (total - found + 0.5) / (found + 0.5)))

    def _rarities(self, found: I32) -> F64:
        """(k,) as `_rarity`, of many."""
        rarities: F64 = np.log(1.0 + (self._seen.rows.shape[0] - found + 0.5) / (found + 0.5))
        return rarities

    def words(self, terms: Iterable[str], names: Collection[str], words: Words | None) -> F32:
        """BM25 over a memory's words and its neighbors' share of theirs (Robertson and Zaragoza 2009).

        Words of like meaning count with the word of the cue, as if they were so many hundredths of it.
        """
        scores = np.zeros(self._seen.rows.shape[0], np.float32)
        for term in terms:
            weight = self._ranking.name_share if term in names else 1.0
            places, counts = self._inside(term)
            found = places.shape[0]
            if words is not None and weight == 1.0:
                kin_places, kin_counts = self._kin(term, words)
                places, counts = np.concatenate((places, kin_places)), np.concatenate((counts, kin_counts))
                found = found or kin_places.shape[0]
            if found:
                often = self._seen.spread(np.bincount(places, counts, self._seen.rows.shape[0]).astype(np.float32))
                often /= often + self._norm
                often *= np.float32(weight * self._rarity(found) * (1.0 + self._ranking.saturation))
                scores += often
        return scores

    def ids(self, ids: Iterable[str]) -> F32:
        """What ids at hand count, each like a word that stands once; neighbors have no part in them."""
        scores = np.zeros(self._seen.rows.shape[0], np.float32)
        for id in ids:
            places, _ = self._inside(id)
            if places.shape[0]:
                scores[places] += np.float32(self._ranking.id_weight * self._rarity(places.shape[0]))
        return scores

    def dates(self, spans: Sequence[Span], lag_s: float) -> F32:
        """What it counts to be of the days that the cue names; half of it while they are still talked of."""
        scores = np.zeros(self._seen.rows.shape[0], np.float32)
        if not spans:
            return scores
        at_s = self._columns["game_s"][self._seen.rows]
        for span in spans:
            inside = (at_s >= span.from_s) & (at_s < span.to_s)
            late = (at_s >= span.to_s) & (at_s < span.to_s + lag_s)
            found = int(inside.sum() + late.sum())
            if found:
                worth = np.float32(self._ranking.date_weight * self._rarity(found))
                scores += worth * (inside + np.float32(0.5) * late)
        return scores

    def meaning(self, sought: F32, places: I32, column: str) -> F32:
        """(k,) of these places: likeness to `sought` (dimensions,) as a whole, at most `meaning_weight`."""
        length = float(np.linalg.norm(sought))
        if length == 0.0:
            return np.zeros(places.shape[0], np.float32)
        vectors, threads = self._columns[column], self._columns["thread"]
        rows = self._seen.rows
        found = vectors[rows[places]]
        share = np.float32(self._ranking.meaning_neighbor_share)
        for distance in (-1, 1):
            near, there = self._seen.around(places, distance, threads)
            found += vectors[rows[near]] * (share * there)[:, None]
        # einsum sums each row alone; a matrix product would sum it differently from place to place.
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found))
        likeness = np.einsum("ij,j->i", found, sought / np.float32(length)) / (lengths + np.float32(_CALM))
        weighed: F32 = np.float32(self._ranking.meaning_weight) * np.maximum(likeness, 0.0)
        return weighed

    def fitting(self, asked: Marks, rows: I32) -> F32:
        """(k,) by what to multiply: more for what the cue asks for, less for what asks itself."""
        ranking = self._ranking
        factors = 1.0 + np.float32(ranking.first_person_share) * self._columns["own"][rows]
        factors *= 1.0 - np.float32(ranking.question_share) * self._columns["asks"][rows]
        for mark in ("time", "number"):
            if getattr(asked, mark):
                factors *= 1.0 + np.float32(ranking.answer_share) * self._columns[mark][rows]
        return factors.astype(np.float32)

    def _inside(self, term: str) -> tuple[I32, F32]:
        """(found,) places and counts of a term within the view."""
        rows, counts = self._postings.read(term)
        places = self._seen.places[rows]
        inside = places >= 0
        return places[inside], counts[inside]

    def _kin(self, term: str, words: Words) -> tuple[I32, F32]:
        """(found,) places and counts of the words of like meaning, each by how like and how rare it is."""
        ranking = self._ranking
        terms, likeness = words.kin(term, likeness_min=ranking.kin_likeness_min, most=ranking.kin_max)
        known = [
            (self._postings.read(kin), how) for kin, how in zip(terms, likeness, strict=True) if kin in self._postings
        ]
        if not known:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        places = self._seen.places[np.concatenate([rows for (rows, _), _ in known])]
        sizes = [rows.shape[0] for (rows, _), _ in known]
        inside = places >= 0
        found = np.add.reduceat(inside, np.cumsum([0, *sizes[:-1]]), dtype=np.int32)
        hows = np.array([how for _, how in known]) * ranking.kin_share * self._rarities(found) / self._rarity(1)
        counts = np.concatenate([counts for (_, counts), _ in known]) * np.repeat(hows, sizes)
        return places[inside], counts[inside].astype(np.float32)

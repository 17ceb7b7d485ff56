"""What one NPC remembers, in RAM, and what comes to its mind.

It knows memories and cues; it knows no store, no world and no clock. Who may be told is settled before anything is
counted or ranked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from app.core.memory import Cue, Recollection
from app.modules.memory.index.columns import F32, I32, Columns, Flags, Postings
from app.modules.memory.index.settings import Ranking
from app.modules.memory.index.views import Audiences, Order, View, freshness, spread, view
from app.modules.memory.index.words import terms, tokens

_NEVER = float("inf")


class Mind:
    """The memories of one NPC. Not for several threads at once."""

    def __init__(self, ranking: Ranking | None = None) -> None:
        self._ranking = ranking or Ranking()
        before, after = self._ranking.before, self._ranking.after
        self._shares = tuple((-at - 1, share) for at, share in enumerate(before)) + tuple(
            (at + 1, share) for at, share in enumerate(after)
        )
        self._clear()

    def _clear(self) -> None:
        self._memories: list[Recollection | None] = []
        self._by_id: dict[str, int] = {}
        self._audiences = Audiences()
        self._threads: dict[str, int] = {}
        self._speakers: dict[str, int] = {}
        self._order = Order()
        self._postings = Postings()
        self._columns = Columns(
            audience=np.int32, thread=np.int32, speaker=np.int32, length=np.float32, game_s=np.float64,
            until_s=np.float64, importance=np.float32, strength=np.float32, alive=np.bool_, pinned=np.bool_,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def add(self, memory: Recollection) -> None:
        """Remember; a memory of the same id gives way."""
        if memory.id in self._by_id:
            self.remove((memory.id,))
        found = Counter(terms(memory.text))
        row = self._columns.add(
            audience=self._audiences.number(memory.known_by),
            thread=self._threads.setdefault(memory.thread, len(self._threads)),
            speaker=self._speakers.setdefault(_name(memory.speaker), len(self._speakers)),
            length=sum(found.values()),
            game_s=memory.game_s,
            until_s=_NEVER if memory.until_s is None else memory.until_s,
            importance=memory.importance,
            strength=memory.strength,
            alive=True,
            pinned=memory.pinned,
        )
        for term, count in found.items():
            self._postings.add(row, term, count)
        for id in _ids(memory):
            self._postings.add(row, id, 1.0)
        self._memories.append(memory)
        self._by_id[memory.id] = row

    def remove(self, ids: Iterable[str]) -> None:
        """Forget, at once and without a trace; ids that are not there are passed over."""
        for id in ids:
            row = self._by_id.pop(id, None)
            if row is not None:
                self._memories[row] = None
                self._columns["alive"][row] = False
        if self._columns.rows > 2 * len(self._by_id) + 64:
            kept = [memory for memory in self._memories if memory is not None]
            self._clear()
            for memory in kept:
                self.add(memory)

    def rank(self, cue: Cue, *, now_s: float, day_s: float, most: int) -> list[Recollection]:
        """The memories that fit the cue best, best first, with `score` and `why`; none without any tie to it."""
        allowed = self._allowed(cue.listener, now_s)
        if not allowed.any():
            return []
        columns = self._columns
        seen = view(self._order.rows(columns["thread"]), allowed, columns["thread"], columns["length"], self._shares)
        words = self._words(seen, cue)
        words *= 1.0 + self._ranking.speaker_share * self._named(seen, cue)
        fresh = freshness(now_s - columns["game_s"][seen.rows], self._ranking.half_life_days * day_s)
        weighty = columns["importance"][seen.rows]
        scores = words * columns["strength"][seen.rows]
        scores *= 1.0 + self._ranking.recency_share * fresh + self._ranking.importance_share * weighty
        scores[columns["pinned"][seen.rows]] = 0.0
        if cue.but_thread in self._threads and cue.but_thread:
            scores[seen.threads == self._threads[cue.but_thread]] = 0.0
        return [
            self._told(int(seen.rows[place]), float(scores[place]), words=float(words[place]),
                       recency=float(fresh[place]), importance=float(weighty[place]))
            for place in _best(scores, seen.rows, most)
        ]  # fmt: skip

    def _allowed(self, listener: str, now_s: float) -> Flags:
        columns = self._columns
        allowed: Flags = self._audiences.open_to(listener)[columns["audience"]]
        allowed &= columns["alive"]
        allowed &= columns["until_s"] > now_s
        return allowed

    def _words(self, seen: View, cue: Cue) -> F32:
        """(n,) BM25 over a memory's words and its neighbors' share (Robertson and Zaragoza 2009)."""
        scores = np.zeros(seen.rows.shape[0], np.float32)
        ranking = self._ranking
        norm = ranking.saturation * (1.0 - ranking.length_share + ranking.length_share * seen.lengths / seen.mean)
        names = set(self._speakers)
        for term in dict.fromkeys(terms(cue.text)):
            weight = ranking.name_share if term in names else 1.0
            scores += self._term(seen, term, norm.astype(np.float32), weight, self._shares)
        for id in dict.fromkeys("@" + id for id in (*cue.participants, cue.place, *cue.quests) if id):
            scores += self._term(seen, id, np.full_like(norm, ranking.saturation), ranking.id_weight, ())
        return scores

    def _term(
        self, seen: View, term: str, norm: F32, weight: float, shares: tuple[tuple[int, float], ...]
    ) -> F32 | float:
        rows, counts = self._postings.read(term)
        places = seen.places[rows]
        inside = places >= 0
        found = int(inside.sum())
        if not found:
            return 0.0
        often = np.zeros(seen.rows.shape[0], np.float32)
        often[places[inside]] = counts[inside]
        often = spread(often, seen.threads, shares)
        total = seen.rows.shape[0]
        rarity = np.float32(weight * np.log(1.0 + (total - found + 0.5) / (found + 0.5)))
        return rarity * often * (1.0 + self._ranking.saturation) / (often + norm)

    def _named(self, seen: View, cue: Cue) -> Flags:
        """(n,): whose speaker the cue names."""
        numbers = [self._speakers[word] for word in {*tokens(cue.text)} if word in self._speakers]
        return np.isin(self._columns["speaker"][seen.rows], numbers)

    def _told(self, row: int, score: float, **why: float) -> Recollection:
        memory = self._memories[row]
        assert memory is not None  # noqa: S101 - a row of a view is alive
        return msgspec.structs.replace(memory, score=score, why=why)


def _name(speaker: str) -> str:
    return speaker.casefold()


def _ids(memory: Recollection) -> set[str]:
    ids = (*memory.participants, memory.speaker, memory.told_by, memory.place, memory.quest)
    return {"@" + id for id in ids if id}


def _best(scores: F32, rows: I32, most: int) -> list[int]:
    """The places of the best scores above 0; among equals the newest first."""
    places = np.flatnonzero(scores > 0.0)
    if places.shape[0] > most:
        least = np.partition(scores[places], places.shape[0] - most)[places.shape[0] - most]
        places = places[scores[places] >= least]
    order = np.lexsort((-rows[places], -scores[places]))
    return [int(place) for place in places[order[:most]]]

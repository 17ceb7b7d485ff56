"""What one NPC remembers, in RAM, and what comes to its mind.

It knows memories and cues; it knows no store, no world and no clock. Who may be told is settled before anything is
counted or ranked, so the answer to a listener is that of a mind which never held the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from app.core.memory import Cue, Recollection
from app.modules.memory.index.columns import F32, Columns, Flags, Postings
from app.modules.memory.index.cues import asks, marks, spans
from app.modules.memory.index.scoring import Scores
from app.modules.memory.index.settings import Ranking
from app.modules.memory.index.vectors import Words
from app.modules.memory.index.views import Audiences, Order, View, best, freshness, shares, view
from app.modules.memory.index.words import terms, tokens

_NEVER = float("inf")
_SLACK_ROWS = 64
"""Rows of forgotten memories that are kept at most, beside as many as there are memories."""


class Mind:
    """The memories of one NPC. Not for several threads at once.

    `words` is what words mean, shared by all minds; without it only the same words and ids are found.
    """

    def __init__(self, ranking: Ranking | None = None, words: Words | None = None) -> None:
        self._ranking = ranking or Ranking()
        self._words = words
        self._shares = shares(self._ranking.before, self._ranking.after)
        self._clear()

    def _clear(self) -> None:
        self._memories: list[Recollection | None] = []
        self._by_id: dict[str, int] = {}
        self._audiences = Audiences()
        self._threads: dict[str, int] = {}
        self._speakers: dict[str, int] = {"": 0}
        self._names: dict[str, set[int]] = {}
        self._order = Order()
        self._postings = Postings()
        widths = {"meaning": self._words.dimensions} if self._words else {}
        self._columns = Columns(
            widths, audience=np.int32, thread=np.int32, speaker=np.int32, length=np.float32, game_s=np.float64,
            until_s=np.float64, importance=np.float32, strength=np.float32, alive=np.bool_, pinned=np.bool_,
            time=np.bool_, number=np.bool_, own=np.bool_, asks=np.bool_, **({"meaning": np.float16} if widths else {}),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def add(self, memory: Recollection) -> None:
        """Remember; a memory of the same id gives way."""
        if memory.id in self._by_id:
            self.remove((memory.id,))
        found = Counter(terms(f"{memory.text} {memory.topic}"))
        meaning = {"meaning": self._words.sentence(found)} if self._words else {}
        row = self._columns.add(
            audience=self._audiences.number(memory.known_by),
            thread=self._threads.setdefault(memory.thread, len(self._threads)),
            speaker=self._speaker(memory.speaker),
            length=found.total(),
            game_s=memory.game_s,
            until_s=_NEVER if memory.until_s is None else memory.until_s,
            importance=memory.importance,
            strength=memory.strength,
            alive=True,
            pinned=memory.pinned,
            **marks(memory.text)._asdict(),
            **meaning,
        )
        for term, count in found.items():
            self._postings.add(row, term, count)
        for id in _ids(memory):
            self._postings.add(row, id, 1.0)
        self._memories.append(memory)
        self._by_id[memory.id] = row

    def _speaker(self, id: str) -> int:
        number = self._speakers.get(id)
        if number is None:
            number = self._speakers[id] = len(self._speakers)
            for name in tokens(id):
                self._names.setdefault(name, set()).add(number)
        return number

    def remove(self, ids: Iterable[str]) -> None:
        """Forget, at once and without a trace; ids that are not there are passed over."""
        for id in ids:
            row = self._by_id.pop(id, None)
            if row is not None:
                self._memories[row] = None
                self._columns["alive"][row] = False
        if self._columns.rows > 2 * len(self._by_id) + _SLACK_ROWS:
            kept = [memory for memory in self._memories if memory is not None]
            self._clear()
            for memory in kept:
                self.add(memory)

    def rank(self, cue: Cue, *, now_s: float, day_s: float, most: int) -> list[Recollection]:
        """The memories that fit the cue best, best first, with `score` and `why`; none without any tie to it.

        `now_s` and `day_s` are in game seconds. `why` has what `words`, `ids`, `dates` and `meaning` gave, and by
        what `fit`, `recency` and `importance` multiplied it.
        """
        columns, ranking = self._columns, self._ranking
        allowed = self._allowed(cue.listener, now_s)
        if not allowed.any():
            return []
        seen = view(self._order.rows(columns["thread"]), allowed, columns["thread"], columns["length"], self._shares)
        asked, named = asks(cue.text), self._named(seen, cue)
        scores = Scores(seen, self._postings, columns, ranking)
        why = self._parts(scores, cue, now_s, day_s) | {"speaker": np.float32(ranking.speaker_weight) * named}
        total = np.zeros(seen.rows.shape[0], np.float32)
        for part in why.values():
            total += part
        why["fit"] = scores.fitting(asked, named)
        fresh = freshness(now_s - columns["game_s"][seen.rows], ranking.half_life_days * day_s).astype(np.float32)
        why["recency"] = 1.0 + np.float32(ranking.recency_share) * fresh
        why["importance"] = 1.0 + np.float32(ranking.importance_share) * columns["importance"][seen.rows]
        total *= why["fit"] * why["recency"] * why["importance"] * columns["strength"][seen.rows]
        total[self._left_out(seen, cue)] = 0.0
        return [
            self._told(int(seen.rows[at]), float(total[at]), {name: float(part[at]) for name, part in why.items()})
            for at in best(total, seen.rows, most)
        ]

    def _parts(self, scores: Scores, cue: Cue, now_s: float, day_s: float) -> dict[str, F32]:
        ranking = self._ranking
        sought = list(dict.fromkeys(terms(cue.text)))
        words = scores.words(sought, self._names, self._words)
        ids = scores.ids(dict.fromkeys(f"@{id}" for id in (*cue.participants, cue.place, *cue.quests) if id))
        days = spans(cue.text, now_s=now_s, day_s=day_s, calendar_start=ranking.calendar_start)
        parts = {"words": words, "ids": ids, "dates": scores.dates(days, ranking.date_lag_days * day_s)}
        if self._words is not None:
            meaning = self._words.sentence(term for term in sought if term not in self._names)
            parts["meaning"] = scores.meaning(meaning, "meaning", words)
        return parts

    def _allowed(self, listener: str, now_s: float) -> Flags:
        columns = self._columns
        allowed: Flags = self._audiences.open_to(listener)[columns["audience"]]
        allowed &= columns["alive"]
        allowed &= columns["until_s"] > now_s
        return allowed

    def _named(self, seen: View, cue: Cue) -> Flags:
        """(n,): whose speaker the cue names, or who asks of themselves."""
        numbers = {number for word in tokens(cue.text) for number in self._names.get(word, ())}
        if cue.listener in self._speakers and cue.listener and asks(cue.text).own:
            numbers.add(self._speakers[cue.listener])
        flags = np.zeros(len(self._speakers), np.bool_)
        flags[list(numbers)] = True
        named: Flags = flags[self._columns["speaker"][seen.rows]]
        return named

    def _left_out(self, seen: View, cue: Cue) -> Flags:
        out: Flags = self._columns["pinned"][seen.rows].copy()
        if cue.but_thread and cue.but_thread in self._threads:
            out |= self._columns["thread"][seen.rows] == self._threads[cue.but_thread]
        return out

    def _told(self, row: int, score: float, why: dict[str, float]) -> Recollection:
        memory = self._memories[row]
        assert memory is not None  # noqa: S101 - a row of a view is alive
        return msgspec.structs.replace(memory, score=score, why=why)


def _ids(memory: Recollection) -> set[str]:
    ids = (*memory.participants, memory.speaker, memory.told_by, memory.place, memory.quest)
    return {f"@{id}" for id in ids if id}

"""What one NPC remembers, in RAM, and what comes to its mind.

It knows memories and cues; it knows no store, no world and no clock. Who may be told is settled before anything is
counted or ranked, so the answer to a listener is that of a mind which never held the rest.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from app.core.memory import Cue, Recollection
from app.modules.memory.index.columns import F32, I32, Columns, Flags, Postings
from app.modules.memory.index.cues import Marks, asks, marks, spans
from app.modules.memory.index.embedded import Embedded, Meant, fused
from app.modules.memory.index.scoring import Scores
from app.modules.memory.index.settings import Ranking
from app.modules.memory.index.vectors import Words
from app.modules.memory.index.views import Audiences, Order, View, best, freshness, shares, view
from app.modules.memory.index.words import terms, tokens

_NEVER = float("inf")
_SLACK_ROWS = 64
"""Rows of forgotten memories, beside as many as there are memories, from which on all is written anew."""
_MOVED_AT_ONCE, _PASSED_AT_ONCE, _LET_GO_AT_ONCE = 4, 512, 64
"""With each change: memories that are written anew, rows passed over on the way, and terms of the old table let go."""


class _Kept(NamedTuple):
    """A view, and from which and up to which game second it holds."""

    view: View
    from_s: float
    until_s: float


class Mind:
    """The memories of one NPC. Not for several threads at once.

    `words` is what words mean, shared by all minds; without it only the same words and ids are found.
    """

    def __init__(self, ranking: Ranking | None = None, words: Words | None = None) -> None:
        self._ranking = ranking or Ranking()
        self._words = words
        self._shares = shares(self._ranking.before, self._ranking.after)
        self.embedded = Embedded()
        self._next: Mind | None = None
        """This mind without the rows of forgotten memories, as far as it is written."""
        self._moved = 0
        """The rows that are in it or forgotten."""
        self._old = Postings()
        """What such a writing has left, let go bit by bit."""
        self._memories: list[Recollection | None] = []
        self._by_id: dict[str, int] = {}
        self._audiences = Audiences()
        self._threads: dict[str, int] = {}
        self._speakers: dict[str, int] = {"": 0}
        self._names: dict[str, set[int]] = {}
        self._order = Order()
        self._views: OrderedDict[str, _Kept] = OrderedDict()
        self._postings = Postings()
        widths = {"meaning": self._words.dimensions} if self._words else {}
        self._columns = Columns(
            widths, audience=np.int32, thread=np.int32, speaker=np.int32, length=np.float32, game_s=np.float64,
            until_s=np.float64, importance=np.float32, strength=np.float32, alive=np.bool_, pinned=np.bool_,
            time=np.bool_, number=np.bool_, own=np.bool_, asks=np.bool_, **({"meaning": np.float32} if widths else {}),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def add(self, memory: Recollection) -> None:
        """Remember; a memory of the same id gives way."""
        if memory.id in self._by_id:
            self.remove((memory.id,))
        self._add(memory)
        self._tidy()

    def _add(self, memory: Recollection) -> None:
        self._views.clear()
        said = tokens(memory.text)
        found = Counter(terms((*said, *tokens(memory.topic))))
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
            **marks(memory.text, said)._asdict(),
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
        gone = list(ids)
        self._drop(gone)
        if self._next is not None:
            self._next._drop(gone)
        self._tidy()

    def _drop(self, ids: Iterable[str]) -> None:
        self._views.clear()
        for id in ids:
            row = self._by_id.pop(id, None)
            if row is not None:
                self._memories[row] = None
                self.embedded.drop(id)
                self._columns["alive"][row] = False

    def _tidy(self) -> None:
        """Write a few memories anew where too many rows are of forgotten ones, so that nobody waits for all of them."""
        self._old.shrink(_LET_GO_AT_ONCE)
        if self._next is None:
            if self._columns.rows <= 2 * len(self._by_id) + _SLACK_ROWS:
                return
            self._next, self._moved = Mind(self._ranking, self._words), 0
        moved, until = 0, min(self._moved + _PASSED_AT_ONCE, len(self._memories))
        while self._moved < until and moved < _MOVED_AT_ONCE:
            memory = self._memories[self._moved]
            self._moved += 1
            if memory is not None:
                self._next._add(memory)
                moved += 1
        if self._moved == len(self._memories):
            vars(self).update(vars(self._next) | {"_old": self._postings, "embedded": self.embedded})
            self.embedded.renumber(self._by_id)

    def embed(self, id: str, meant: Meant) -> None:
        """Keep what a memory means as a whole; one that is gone is passed over."""
        row = self._by_id.get(id)
        if row is not None:
            self.embedded.put(id, row, meant)

    def rank(
        self, cue: Cue, *, now_s: float, day_s: float, most: int, meant: Meant | None = None
    ) -> list[Recollection]:
        """The memories that fit the cue best, best first; by `meant` as well, where it says what the cue means."""
        if meant is None:
            return self._by_words(cue, now_s=now_s, day_s=day_s, most=most)
        ranking, depth = self._ranking, max(most, self._ranking.fused_max)
        said = self._by_words(cue, now_s=now_s, day_s=day_s, most=depth)
        seen = self._seen(cue.listener, now_s)
        near = self.embedded.nearest(
            meant, seen, self._left_out(seen, cue), likeness_min=ranking.likeness_min, most=depth
        )
        alike = [(self._told(row, 0.0, {}), likeness) for row, likeness in near]
        return fused(said, alike, constant=ranking.fused_constant, most=most)

    def _by_words(self, cue: Cue, *, now_s: float, day_s: float, most: int) -> list[Recollection]:
        """The memories that fit the cue best, best first, with `score` and `why`; none without any tie to it.

        `now_s` and `day_s` are in game seconds. `why` has what `words`, `ids`, `dates`, `speaker` and `meaning` gave
        together, and by what `named`, `fit`, `recency`, `importance` and `strength` multiplied it.
        """
        seen = self._seen(cue.listener, now_s)
        if not seen.rows.shape[0]:
            return []
        ranking, scores = self._ranking, Scores(seen, self._postings, self._columns, self._ranking)
        words = tokens(cue.text)
        names, named = self._named(seen, cue, words)
        sought = list(dict.fromkeys(terms(words)))
        given = self._given(scores, cue, now_s, day_s) | {"words": scores.words(sought, names, self._words)}
        given["speaker"] = np.float32(ranking.speaker_weight) * named
        factor = 1.0 + np.float32(ranking.speaker_share) * named
        total = sum(given.values(), np.zeros(seen.rows.shape[0], np.float32)) * factor
        out = self._left_out(seen, cue)
        total[out] = 0.0
        places = self._weighed(total, seen.rows, out)
        rows = seen.rows[places]
        sums = {name: part[places] for name, part in given.items()}
        if self._words is not None:
            meant = self._words.sentence(term for term in sought if term not in names)
            sums["meaning"] = scores.meaning(meant, places, "meaning")
        factors = {"named": factor[places]} | self._factors(scores, asks(cue.text, words), rows, now_s, day_s)
        total = sum(sums.values(), np.zeros(rows.shape[0], np.float32))
        for each in factors.values():
            total = total * each
        return [
            self._told(
                int(rows[at]), float(total[at]), {name: float(part[at]) for name, part in (sums | factors).items()}
            )
            for at in best(total, rows, most)
        ]

    def _given(self, scores: Scores, cue: Cue, now_s: float, day_s: float) -> dict[str, F32]:
        """What ids and dates give to each memory of a view."""
        ids = dict.fromkeys(f"@{id}" for id in (*cue.participants, cue.place, *cue.quests) if id)
        days = spans(cue.text, now_s=now_s, day_s=day_s, calendar_start=self._ranking.calendar_start)
        return {
            "ids": scores.ids(ids),
            "dates": scores.dates(days, self._ranking.date_lag_days * day_s),
        }

    def _weighed(self, total: F32, rows: I32, out: Flags) -> I32:
        """The places that are worth weighing by more than words."""
        if total.shape[0] <= self._ranking.weighed_rows_max:
            return np.flatnonzero(~out).astype(np.int32)
        return best(total, rows, self._ranking.weighed_rows_max)

    def _factors(self, scores: Scores, asked: Marks, rows: I32, now_s: float, day_s: float) -> dict[str, F32]:
        """(k,) of these rows: by what to multiply, bounded, so that a clear hit stays above what is merely new."""
        columns, ranking = self._columns, self._ranking
        fresh = freshness(now_s - columns["game_s"][rows], ranking.half_life_days * day_s).astype(np.float32)
        return {
            "fit": scores.fitting(asked, rows),
            "recency": 1.0 + np.float32(ranking.recency_share) * fresh,
            "importance": 1.0 + np.float32(ranking.importance_share) * columns["importance"][rows],
            "strength": columns["strength"][rows],
        }

    def _seen(self, listener: str, now_s: float) -> View:
        """What the listener may be told now; kept until something is added, removed or expires."""
        kept = self._views.get(listener)
        if kept is not None and kept.from_s <= now_s < kept.until_s:
            self._views.move_to_end(listener)
            return kept.view
        columns = self._columns
        allowed = self._allowed(listener, now_s)
        found = view(self._order.rows(columns["thread"]), allowed, columns["thread"], columns["length"], self._shares)
        until_s = float(columns["until_s"][allowed].min(initial=_NEVER))
        self._views[listener] = _Kept(found, now_s, until_s)
        if len(self._views) > self._ranking.views_max:
            self._views.popitem(last=False)
        return found

    def _allowed(self, listener: str, now_s: float) -> Flags:
        columns = self._columns
        allowed: Flags = self._audiences.open_to(listener)[columns["audience"]]
        allowed &= columns["alive"]
        allowed &= columns["until_s"] > now_s
        return allowed

    def _named(self, seen: View, cue: Cue, words: Sequence[str]) -> tuple[set[str], Flags]:
        """The terms that name somebody who speaks in this view, and (n,) whose speaker the cue names.

        One who asks of themselves names themselves.
        """
        names: set[str] = set()
        flags = np.zeros(len(self._speakers), np.bool_)
        for word in words:
            for number in self._names.get(word, ()):
                flags[number] = True
        own = cue.listener in self._speakers and cue.listener != "" and asks(cue.text, words).own
        if not own and not flags.any():
            return names, np.zeros(seen.rows.shape[0], np.bool_)
        column = self._columns["speaker"][seen.rows]
        named: Flags = flags[column]
        speaking = np.zeros(len(self._speakers), np.bool_)
        speaking[column[named]] = True
        for word in words:
            if any(speaking[number] for number in self._names.get(word, ())):
                names.update(terms((word,)))
        if own:
            flags[self._speakers[cue.listener]] = True
            named = flags[column]
        return names, named

    def _left_out(self, seen: View, cue: Cue) -> Flags:
        out: Flags = self._columns["pinned"][seen.rows]
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

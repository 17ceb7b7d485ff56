"""Makes barks: every line is used before one comes again, and so is every word of the lexicon.

Pure: the same seed gives the same lines. Lines that fit the mood and relation closely come before those that fit any.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.core.ids import stable_hash
from app.modules.content.barks.grammar import FACT, GAME_SLOTS, Grammar, Line, slots_of
from app.world.barks import MOODS

TURNS_MAX = 60
"""Times that one line may be filled anew."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One combination. `event` may be a family, of which lines for any mood and relation are taken.

    `fact` is a sentence that is told, `trade` an archetype.
    """

    event: str
    mood: str = ""
    relation: str = ""
    fact: str = ""
    trade: str = ""


class Maker:
    """Fills lines; what it has used before, in any combination, it uses last."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._grammar = grammar
        self._seed = seed
        self._used: Counter[tuple[str, str]] = Counter()
        self._pairs: set[tuple[str, str]] = set()
        self._said: set[str] = set()

    def lines(self, wanted: Wanted, count: int) -> list[str]:
        """At most `count` lines, none of which was made before."""
        found: list[str] = []
        able = self._able(wanted)
        for turn in range(TURNS_MAX if able else 0):
            for line in self._shuffled(able, turn):
                if len(found) == count:
                    return found
                text = self._filled(line, wanted, turn)
                if text not in self._said:
                    self._said.add(text)
                    found.append(text)
        return found

    def _able(self, wanted: Wanted) -> list[tuple[int, Line]]:
        family = FACT if wanted.fact else self._grammar.family(wanted.event)
        whole = wanted.event == family
        return [
            (rank, line)
            for line in self._grammar.lines.get(family, ())
            if (whole or not line.events or wanted.event in line.events)
            and (rank := line.rank(wanted.mood, wanted.relation, whole=whole)) >= 0
        ]

    def _shuffled(self, able: Sequence[tuple[int, Line]], turn: int) -> Iterator[Line]:
        """All of them in a drawn order, the closest first."""
        drawn = sorted(able, key=lambda row: (-row[0], stable_hash(self._seed, "line", turn, row[1].text)))
        return (line for _, line in drawn)

    def _filled(self, line: Line, wanted: Wanted, turn: int) -> str:
        text = f"{line.text} {self._tail(line, wanted, turn)}" if turn and not wanted.fact else line.text
        for at, slot in enumerate(slots_of(text)):
            if slot in GAME_SLOTS:
                continue
            if slot == FACT:
                word = wanted.fact
            else:
                word = self._word(slot, wanted, text, stable_hash(self._seed, line.text, turn, at))
            text = text.replace(f"{{{slot}}}", word, 1)
        return _tidy(text)

    def _tail(self, line: Line, wanted: Wanted, turn: int) -> str:
        """What follows a line that is used again: in its mood or the one that is wanted, and used least so far."""
        moods = frozenset({wanted.mood}) if wanted.mood else line.moods
        if not moods and wanted.event in self._grammar.families:
            moods = frozenset(MOODS)
        able = [tail.text for tail in self._grammar.tails if not tail.moods or tail.moods & moods]
        chosen = min(able, key=lambda text: (self._used["", text], stable_hash(self._seed, line.text, turn, text)))
        self._used["", chosen] += 1
        return chosen

    def _word(self, slot: str, wanted: Wanted, text: str, drawn: int) -> str:
        """The word that was used least, and next to fewest of the words that it would stand beside."""
        words = self._grammar.lexicon[slot]
        if slot == "work":
            words = (*self._grammar.trades.get(wanted.trade, ()), *words)
        before, after = _beside(text, slot)

        def stale(word: str) -> tuple[int, int, int]:
            pairs = {(before, word.split(" ")[0]), (word.split(" ")[-1], after)}
            return len(pairs & self._pairs), self._used[slot, word], stable_hash(drawn, word)

        chosen = min((word for word in words if word not in text), key=stale, default=words[drawn % len(words)])
        self._used[slot, chosen] += 1
        self._pairs |= {(before, chosen.split(" ")[0]), (chosen.split(" ")[-1], after)}
        return chosen


def distinct_2(texts: Sequence[str]) -> float:
    """Different pairs of neighboring words over all of them, in [0, 1] (J. Li et al., arXiv:1510.03055)."""
    pairs = [pair for text in texts for words in [_WORD.findall(text.casefold())] for pair in pairwise(words)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _beside(text: str, slot: str) -> tuple[str, str]:
    """The words before and after the first place of a slot."""
    before, _, after = text.partition(f"{{{slot}}}")
    left, right = _WORD.findall(before), _WORD.findall(after)
    return (left[-1].casefold() if left else ""), (right[0].casefold() if right else "")


def _tidy(text: str) -> str:
    """Each sentence with a capital at its start; `a` before a vowel is `an`."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return re.sub(r"(^|[.!?:] )([a-zà-ÿ])", lambda found: found[1] + found[2].upper(), text)


_WORD = re.compile(r"[^\W_]+(?:[’'-][^\W_]+)*")

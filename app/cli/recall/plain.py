"""The peer: plain BM25 over every turn joined with its two neighbors on each side, as textbooks have it.

Its own tokenizer, k1 = 1.2 and b = 0.75; it knows neither speakers nor time (Robertson and Zaragoza 2009).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

from app.cli.recall.files import Turn
from app.modules.memory.index.stems import stem
from app.modules.memory.index.words import STOP

_K1, _B, _NEIGHBORS = 1.2, 0.75, 2
_WORD = re.compile(r"[a-z0-9]+")


class Plain:
    """An index over the turns of one conversation."""

    def __init__(self, turns: tuple[Turn, ...]) -> None:
        self._ids = [turn.id for turn in turns]
        words = [_words(f"{turn.speaker} {turn.words}") for turn in turns]
        joined = [
            Counter(word for near in words[max(0, at - _NEIGHBORS) : at + _NEIGHBORS + 1] for word in near)
            for at in range(len(words))
        ]
        lengths = [sum(found.values()) for found in joined]
        mean = sum(lengths) / max(1, len(lengths))
        self._scores: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        often = Counter(word for found in joined for word in found)
        for at, found in enumerate(joined):
            norm = _K1 * (1.0 - _B + _B * lengths[at] / mean)
            for word, count in found.items():
                rarity = math.log(1.0 + (len(joined) - often[word] + 0.5) / (often[word] + 0.5))
                self._scores[word].append((at, rarity * count * (_K1 + 1.0) / (count + norm)))

    def recall(self, question: str, most: int) -> list[str]:
        """The ids of the turns that fit best."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word in _words(question):
            for at, score in self._scores.get(word, ()):
                scores[at] += score
        best = sorted(scores, key=lambda at: (-scores[at], at))
        return [self._ids[at] for at in best[:most]]


def _words(text: str) -> list[str]:
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in STOP]
